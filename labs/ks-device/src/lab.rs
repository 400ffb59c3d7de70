//! What a test tells the card, in words, through a control code that no product knows.

use crate::audio::Counts;
use crate::card::{Card, Outcome, Request};
use crate::description::Description;
use crate::status;
use crate::surroundings::Surroundings;

/// Control codes of the lab: `CTL_CODE(FILE_DEVICE_KS, 0x800 + n, METHOD_NEITHER, FILE_ANY_ACCESS)`.
pub mod code {
    /// A command in words; the output is the answer.
    pub const COMMAND: u32 = 0x002F_2003;
    /// Makes a pin of an open filter: the input is `KSPIN_CONNECT` with its format. What Wine's kernel cannot do by name.
    pub const MAKE_PIN: u32 = 0x002F_2007;
    /// The output is how the filter was opened, as text. Answered by the driver, not by the card.
    pub const PATH: u32 = 0x002F_200B;
}

/// Does what a command says.
pub(crate) fn command(
    card: &mut Card,
    asked: &mut Request<'_>,
    world: &mut dyn Surroundings,
) -> Outcome {
    let Ok(text) = std::str::from_utf8(asked.input) else {
        return Outcome::Done(status::INVALID_PARAMETER, 0);
    };
    let (verb, rest) = text.split_once('\n').unwrap_or((text, ""));
    let mut words = verb.split(' ');
    let (verb, number) = (words.next().unwrap_or(""), words.next().and_then(|n| n.parse().ok()));
    let answer = match (verb, number) {
        ("describe", _) => {
            let Some(description) = Description::from_text(rest) else {
                return Outcome::Done(status::INVALID_PARAMETER, 0);
            };
            describe(card, description, world);
            Vec::new()
        }
        // To the time that is given; when something happens next.
        ("run", Some(now)) => {
            card.run_to(now, world);
            card.next_ns().to_le_bytes().to_vec()
        }
        ("now", _) => card.now_ns.to_le_bytes().to_vec(),
        ("take", _) => {
            let most = asked.output.len();
            match card.pins.values_mut().find(|pin| pin.plays) {
                Some(pin) => pin.take(most).to_vec(),
                None => card.left.drain(..most.min(card.left.len())).collect(),
            }
        }
        ("stats", _) => stats(card).into_bytes(),
        ("plug", Some(is_there)) => {
            card.plug(is_there != 0, world);
            Vec::new()
        }
        ("step", Some(is_stepped)) => {
            card.is_stepped = is_stepped != 0;
            Vec::new()
        }
        _ => return Outcome::Done(status::INVALID_PARAMETER, 0),
    };
    let length = answer.len().min(asked.output.len());
    asked.output[..length].copy_from_slice(&answer[..length]);
    Outcome::Done(status::SUCCESS, length)
}

/// A new card in the place of the old one.
fn describe(card: &mut Card, description: Description, world: &mut dyn Surroundings) {
    card.plug(true, world);
    card.mux = description.mux;
    card.description = description;
    card.counts = Counts::default();
    card.left.clear();
    card.violations.clear();
    card.opened = 0;
    card.is_stepped = true;
}

fn stats(card: &Card) -> String {
    let counts = card.counts;
    let mut text = format!(
        "stale={}\nstarved={}\ndropped={}\nopened={}\nmux={}\npins={}\n",
        counts.stale,
        counts.starved,
        counts.dropped,
        card.opened,
        card.mux,
        card.pins.len()
    );
    for what in &card.violations {
        text += &format!("violation={what}\n");
    }
    text
}
