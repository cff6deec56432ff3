//! Texts that are no header fields.

use seawall_core::cache::query::keep;
use seawall_core::limit::lua::{Reply, state_from_text, state_to_text};
use seawall_core::policy::Policy;

use crate::{slow, text};

/// What is kept are parameters of the allowed names and nothing else; keeping again changes nothing.
pub(crate) fn query_keep(input: &[u8]) {
    let raw = text(input);
    let allowed = ["q".to_owned(), "a b".to_owned(), "page".to_owned()];
    let kept = keep(&raw, &allowed);
    assert_eq!(keep(&kept, &allowed), kept, "{raw:?}");
    let mut expect = Vec::new();
    for name in &allowed {
        expect.extend(raw.split('&').filter(|pair| {
            let spelled = pair.split('=').next().unwrap_or_default();
            slow::decoded(spelled).is_some_and(|decoded| decoded == name.as_bytes())
        }));
    }
    assert_eq!(kept, expect.join("&"), "{raw:?}");
}

/// A faulty policy is refused in words; a good one routes without a panic, whatever the path.
pub(crate) fn policy_toml(input: &[u8]) {
    let source = text(input);
    match Policy::compile(&source) {
        Ok(policy) => {
            for path in ["/", "", "//", "/search", "/a/b/../c", "/é", &source] {
                let route = policy.route("GET", path);
                assert!(route.is_none_or(|route| policy.routes().contains(route)));
                if let Some(route) = route {
                    let _ = policy.upstream_of(route);
                    assert!(policy.limits_of(route).all(|(id, limit)| policy.limit(id) == Some(limit)));
                }
            }
            let bytes = postcard::to_allocvec(&policy).expect("a policy serialises");
            assert_eq!(postcard::from_bytes(&bytes), Ok(policy), "the embedded form is the policy");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// What Redis may send: one element a line. A state that is read is written so that it reads the same.
pub(crate) fn lua_reply(input: &[u8]) {
    let answer = text(input);
    if let Ok(reply) = Reply::parse(answer.split('\n')) {
        for state in reply.stored.iter().flatten() {
            assert_eq!(state_from_text(&state_to_text(state)).as_ref(), Some(state), "{answer:?}");
        }
    }
    if let Some(state) = state_from_text(&answer) {
        assert_eq!(state_from_text(&state_to_text(&state)), Some(state), "{answer:?}");
    }
}
