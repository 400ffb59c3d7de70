//! Bounded strings of the interface.

/// Writes as much of `text` as fits, always terminated, never cutting a character in two, the rest zeros.
pub fn write_text(place: &mut [u8], text: &str) {
    let mut end = text.len().min(place.len().saturating_sub(1));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let (head, tail) = place.split_at_mut(end);
    head.copy_from_slice(&text.as_bytes()[..end]);
    tail.fill(0);
}

/// Reads up to the first zero byte or the end: some drivers do not terminate. Bytes that are no UTF-8 become `�`.
pub fn read_text(place: &[u8]) -> String {
    let end = place.iter().position(|&byte| byte == 0).unwrap_or(place.len());
    String::from_utf8_lossy(&place[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_always_terminated_and_never_cut_inside_a_character() {
        let mut place = [0xAA; 5];
        write_text(&mut place, "abcö");
        assert_eq!(place, *b"abc\0\0");
        write_text(&mut place, "");
        assert_eq!(read_text(&place), "");
        assert_eq!(read_text(&[b'x'; 4]), "xxxx");
        write_text(&mut [], "nothing fits");
    }
}
