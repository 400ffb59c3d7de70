//! Sample kernels: convert, interleave, sum, mix, dither, resample, clock estimation; pure functions on views.
