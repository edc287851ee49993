//! Benchmarks of jdb and of its parts: see `benches` and `examples`.
