//! The reference page in the repository is that of the table of keys.

#[test]
fn the_reference_page_is_not_stale() {
    let page = include_str!("../../../docs/settings.md").replace("\r\n", "\n");
    assert!(
        page == barewire_settings::reference_page(),
        "write it anew: cargo run -p barewire-settings --example reference > docs/settings.md"
    );
}
