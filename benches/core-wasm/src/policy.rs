//! Reading a compiled policy, and asking it for a route.

use std::cell::RefCell;

use seawall_core::policy::Policy;

/// Reads a policy of `length` bytes that were written to [`room`], and says how many routes it has.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn route(length: usize) -> usize {
    ROOM.with_borrow(|room| {
        let policy = room.get(..length).and_then(|bytes| postcard::from_bytes::<Policy>(bytes).ok());
        policy.map_or(0, |policy| {
            let found = policy.route("GET", "/search").map_or(0, |route| policy.limits_of(route).count());
            policy.routes().len() + found
        })
    })
}

/// Where the policy's bytes go.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn room(bytes: usize) -> usize {
    ROOM.with_borrow_mut(|room| {
        room.resize(bytes, 0);
        room.as_ptr() as usize
    })
}

thread_local! {
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}
