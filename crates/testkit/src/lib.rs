//! Fake host, fake device, baton scheduler: used only from tests.
