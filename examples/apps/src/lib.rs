//! Board-agnostic applications.
#![no_std]
