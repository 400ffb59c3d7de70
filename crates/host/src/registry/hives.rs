//! Windows' registry, read: what else it tells of the machine than drivers. Elsewhere there is none. Called by
//! `barewire doctor`.

/// A value of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `REG_DWORD`.
    Number(u32),
    /// `REG_SZ`.
    Text(String),
}

/// A value below a key that is written as a path (`HKEY_LOCAL_MACHINE\…`), in the view of 64-bit programs; `None` if
/// there is no such value, or it may not be read, or this is no Windows.
pub fn value(key: &str, name: &str) -> Option<Value> {
    os::value(key, name)
}

/// The names of the keys below a key, in the same view.
pub fn keys(key: &str) -> Vec<String> {
    os::keys(key)
}

#[cfg(windows)]
mod os {
    use super::Value;
    use windows_registry::{CURRENT_USER, Key, LOCAL_MACHINE};

    /// `KEY_READ | KEY_WOW64_64KEY`.
    const READ: u32 = 0x2_0019 | 0x100;

    fn open(key: &str) -> Option<Key> {
        let (hive, below) = key.split_once('\\')?;
        let hive = match hive {
            "HKEY_LOCAL_MACHINE" => LOCAL_MACHINE,
            "HKEY_CURRENT_USER" => CURRENT_USER,
            _ => return None,
        };
        hive.options().access(READ).open(below).ok()
    }

    pub(super) fn value(key: &str, name: &str) -> Option<Value> {
        let key = open(key)?;
        let number = key.get_u32(name).ok().map(Value::Number);
        number.or_else(|| key.get_string(name).ok().map(Value::Text))
    }

    pub(super) fn keys(key: &str) -> Vec<String> {
        open(key).and_then(|key| Some(key.keys().ok()?.collect())).unwrap_or_default()
    }
}

#[cfg(not(windows))]
mod os {
    use super::Value;

    pub(super) fn value(_: &str, _: &str) -> Option<Value> {
        None
    }

    pub(super) fn keys(_: &str) -> Vec<String> {
        Vec::new()
    }
}
