//! What a host loads: the exports of libbarewire.so and barewire.dll, nothing more.
