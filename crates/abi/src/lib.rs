//! The ASIO binary interface in both directions and both dialects, behind one guard.
