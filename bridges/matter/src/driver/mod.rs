//! The driver.
mod commission;
mod fabric;
#[cfg(test)]
mod lab;
mod law;
mod line;
mod sky;
mod trust;
