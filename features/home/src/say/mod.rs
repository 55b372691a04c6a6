//! Values in words.
