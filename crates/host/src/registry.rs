//! Where drivers are registered with the system, so that hosts find them. Each system has its own way.

pub mod hives;
#[cfg(not(windows))]
mod linux;
#[cfg(windows)]
mod windows;

#[cfg(not(windows))]
use linux as os;
#[cfg(windows)]
use windows as os;

#[cfg(windows)]
pub use os::unregister_own_kind;
pub use os::{OTHER_KIND, OWN_FILE, default_root, entries, entry, own_names, register, unregister};
#[cfg(windows)]
pub(crate) use os::{bits_of, other_kind};

use barewire_abi::Guid;
use barewire_types::{Error, ErrorKind, Result};
use std::path::PathBuf;

/// The name under which our own driver is registered unless another is asked for.
pub const OWN_NAME: &str = "Barewire";

/// What hosts show beside [`OWN_NAME`].
pub const OWN_DESCRIPTION: &str = "Barewire: any audio device, bit-perfect";

/// The class id of [`OWN_NAME`].
pub const OWN_CLASS: Guid = Guid::from_u128(0x6F3C_2D5E_8A41_4B7C_9E10_BA2E_317E_0001);

/// The class id of our driver's entry `name`: [`OWN_CLASS`], or one of its own, which the name alone decides, so that it
/// is the same on every machine and after every installation.
pub fn class_of(name: &str) -> Guid {
    if name == OWN_NAME {
        return OWN_CLASS;
    }
    /// FNV-1a.
    const START: u64 = 0xCBF2_9CE4_8422_2325;
    const FACTOR: u64 = 0x0000_0100_0000_01B3;
    let hash = name.bytes().fold(START, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FACTOR));
    let mut data4 = hash.to_be_bytes();
    // The variant's bits, as in every id that was made rather than drawn by others.
    data4[0] = data4[0] & 0x3F | 0x80;
    Guid { data4, ..OWN_CLASS }
}

/// Whether a class is one of ours: they differ in the last group alone.
pub fn is_own_class(class: Guid) -> bool {
    Guid { data4: OWN_CLASS.data4, ..class } == OWN_CLASS
}

/// The entries that our driver has with these profiles: the default one, and one for each profile whose name is short
/// enough.
pub fn own_entries(profiles: &[String]) -> Vec<String> {
    let of_profiles = profiles.iter().map(|profile| format!("{OWN_NAME} {profile}"));
    let names = std::iter::once(OWN_NAME.to_owned()).chain(of_profiles);
    names.filter(|name| check_name(name).is_ok()).collect()
}

/// One registered driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name under which it is registered; also what tells instances of one driver apart.
    pub name: String,
    /// The file to load.
    pub driver: PathBuf,
    /// What hosts show, if something is given.
    pub description: Option<String>,
    /// Windows: the class id.
    pub class: Option<Guid>,
    /// For processes of how many bits it is.
    pub bits: u32,
    /// Windows: the apartments that its objects may be made in, as the registry says.
    pub threading: Option<String>,
}

impl Entry {
    /// What a person is shown: the description, or the name.
    pub fn title(&self) -> &str {
        self.description.as_deref().unwrap_or(&self.name)
    }

    /// The file to load, with the folder in which Windows finds one that is registered without.
    pub fn file(&self) -> PathBuf {
        os::in_system(&self.driver).unwrap_or_else(|| self.driver.clone())
    }
}

/// What is registered.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Drivers whose file is there, in the order of their names.
    pub entries: Vec<Entry>,
    /// What is wrong with the rest, one sentence each.
    pub problems: Vec<Error>,
}

/// The interface passes names in 32 bytes, one of which is the end.
const NAME_BYTES: usize = 31;

/// Whether hosts of every system can read the name.
fn check_name(name: &str) -> Result<()> {
    let sound = (1..=NAME_BYTES).contains(&name.len())
        && !name.starts_with('.')
        && !name.contains(|letter: char| matches!(letter, '/' | '\\') || letter.is_control());
    if sound {
        return Ok(());
    }
    let text = format!(
        "{name:?} cannot be a driver's name: 1 to {NAME_BYTES} bytes, no slash, no dot in front"
    );
    Err(Error::new(ErrorKind::InvalidArgument, text))
}
