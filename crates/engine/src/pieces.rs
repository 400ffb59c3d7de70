//! Moving frames into a stream whose memory is lent piece by piece; for streams made of streams.

use barewire_device::Stream;
use barewire_dsp::Copier;
use barewire_rt::Area;

/// Writes `source` into the stream's playback pieces and commits them; gives how many frames found room.
pub(crate) fn pour(stream: &mut dyn Stream, mover: &Copier, source: Area<'_>) -> u32 {
    let mut done = 0;
    while done < source.frames() {
        let place = stream.playback();
        let frames = place.frames().min(source.frames() - done);
        if frames == 0 {
            break;
        }
        mover.run(source.part(done, frames), place.part(0, frames));
        stream.commit(frames);
        done += frames;
    }
    done
}
