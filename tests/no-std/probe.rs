//! A WASM module with all of core's code in it and nothing of std: `cargo xtask test --only no-std` links it over
//! core's library and asks Node what it imports. The answer has to be: nothing.
//!
//! It is compiled by rustc alone, so it is no member of the workspace and adds nothing to core's features.
#![no_std]

extern crate seawall_core;

use core::alloc::{GlobalAlloc, Layout};

/// Linking core needs an allocator; the module is never run, so this one has nothing to give.
struct Nothing;

// SAFETY: a null pointer is what an allocator returns that has no memory left.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _layout: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _pointer: *mut u8, _layout: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Nothing = Nothing;

/// When core pulls in std there are two of these, and rustc says E0152.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
