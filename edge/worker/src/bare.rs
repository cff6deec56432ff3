//! What stands in for std: an allocator, and what a panic does.
//!
//! A panic traps, which ends the module; `entry.mjs` begins with a new one. Neither its message nor its place is in the
//! module, nor the code of what messages may show. The runtime logs the numbers of the functions that the trap was in, and
//! the build writes their names beside the module (docs/decisions/0017-size-of-the-worker.md).

use core::{arch::wasm32::unreachable, panic::PanicInfo};

use rlsf::{GlobalTlsf, GlobalTlsfOptions};

/// Smaller than the allocator that std has for this target, and it takes the same time for every block.
#[global_allocator]
static ALLOCATOR: GlobalTlsf<Options> = GlobalTlsf::new();

struct Options;

impl GlobalTlsfOptions for Options {
    // A block that grows is copied.
    const ENABLE_REALLOCATION: bool = false;
}

/// So small that it is inlined where panics begin, and the compiler sees that nobody reads the message.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    unreachable()
}
