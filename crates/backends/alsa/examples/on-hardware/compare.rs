//! Whether a file of music arrived as it is: all of its frames in one piece, and nothing but silence around them.

use std::fs;

/// Bytes of the header of the lab's WAV files.
const HEADER_BYTES: usize = 44;
/// Frames by which a place in the file is found.
const KEY_FRAMES: usize = 64;

/// The frames of `file` as they lie in a wider frame: samples left-justified, channels that the file lacks silent.
fn widened(
    file: &[u8],
    (own_channels, own_bytes): (usize, usize),
    (channels, bytes): (usize, usize),
) -> Vec<u8> {
    let frames =
        file.get(HEADER_BYTES..).unwrap_or_default().chunks_exact(own_channels * own_bytes);
    let mut wide = Vec::new();
    for frame in frames {
        let begin = wide.len();
        for sample in frame.chunks_exact(own_bytes) {
            wide.resize(wide.len() + bytes - own_bytes, 0);
            wide.extend_from_slice(sample);
        }
        wide.resize(begin + channels * bytes, 0);
    }
    wide
}

/// Compares what arrived, in a file that the USB interface named after its channels and bits, with a WAV file. `rest` also
/// takes a piece of the file, repeated as often as it may be, up to the recording's end.
pub(crate) fn files(music: &str, arrived: &str, is_rest: bool) -> Result<String, String> {
    let read = |path: &str| fs::read(path).map_err(|error| format!("{path}: {error}"));
    let (file, heard) = (read(music)?, read(arrived)?);
    let name = arrived.rsplit('/').next().unwrap_or_default();
    let mut parts = name.split('-').skip(2);
    let mut next = || parts.next().ok_or(()).and_then(|part| part.parse::<usize>().map_err(drop));
    let (Ok(channels), Ok(bits)) = (next(), next()) else {
        return Err(format!("{arrived} does not tell its channels and bits"));
    };
    let field = |at: usize| file.get(at).copied().map_or(0, usize::from);
    let (own_channels, own_bits) = (field(22), field(34));
    if own_channels > channels || own_bits > bits {
        return Err(format!("{own_channels} channels of {own_bits} bits do not fit {name}"));
    }
    let wanted = widened(&file, (own_channels, own_bits / 8), (channels, bits / 8));
    let frame = channels * bits / 8;
    let what =
        if is_rest { rest(&wanted, &heard, frame)? } else { one_piece(&wanted, &heard, frame)? };
    Ok(format!("{what} ({channels} channels of {bits} bits)"))
}

/// Whether all that was heard from the first sound on is a piece of `wanted`, which repeats itself.
fn rest(wanted: &[u8], heard: &[u8], frame: usize) -> Result<String, String> {
    let silence = heard.chunks_exact(frame).take_while(|frame| frame.iter().all(|&b| b == 0));
    let begin = silence.count() * frame;
    let key = heard.get(begin..begin + KEY_FRAMES * frame).ok_or("nothing was heard")?;
    let frames = || wanted.chunks_exact(frame);
    let at = (0..wanted.len() / frame)
        .find(|at| key.chunks_exact(frame).eq(frames().cycle().skip(*at).take(KEY_FRAMES)))
        .ok_or("what was heard is no piece of the file")?;
    let mut expected = frames().cycle().skip(at);
    let (mut same, mut sounds) = (0, heard[begin..].chunks_exact(frame));
    for sound in &mut sounds {
        if expected.next() != Some(sound) {
            break;
        }
        same += 1;
    }
    match sounds.filter(|frame| frame.iter().any(|&b| b != 0)).count() {
        0 => Ok(format!("{same} frames bit for bit from frame {at} on, and silence around them")),
        left => Err(format!("frame {same} from {at} on is wrong, and {left} frames follow")),
    }
}

fn one_piece(wanted: &[u8], heard: &[u8], frame: usize) -> Result<String, String> {
    let first = wanted.get(..frame).ok_or("the file is empty")?;
    let begin = heard.chunks_exact(frame).position(|heard| heard == first);
    let begin = begin.ok_or_else(|| {
        format!("the file's beginning did not arrive ({} frames did)", heard.len() / frame)
    })?;
    let (before, rest) = heard.split_at(begin * frame);
    let same = wanted.chunks_exact(frame).zip(rest.chunks_exact(frame));
    let same = same.take_while(|(wanted, heard)| wanted == heard).count();
    if same * frame < wanted.len() {
        return Err(format!("frame {same} of {} is wrong or missing", wanted.len() / frame));
    }
    let after = &rest[wanted.len()..];
    let loud =
        |bytes: &[u8]| bytes.chunks_exact(frame).filter(|f| f.iter().any(|&b| b != 0)).count();
    match (loud(before), loud(after)) {
        (0, 0) => Ok(format!("{same} frames bit for bit, and silence around them")),
        (before, after) => Err(format!("{before} frames before the file and {after} behind it")),
    }
}
