//! Find, load and drive any ASIO driver, several at once.
