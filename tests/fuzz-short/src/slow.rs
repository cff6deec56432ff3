//! Slow, obvious readers to compare the real ones with.

/// The members of a comma-separated list, each trimmed; a comma inside quotes does not separate.
pub(crate) fn members(list: &str) -> Vec<String> {
    let mut members = vec![String::new()];
    let mut characters = list.chars();
    let mut quoted = false;
    while let Some(character) = characters.next() {
        if character == ',' && !quoted {
            members.push(String::new());
            continue;
        }
        // The list began with a member and only grows.
        let member = members.last_mut().expect("never empty");
        member.push(character);
        if character == '"' {
            quoted = !quoted;
        } else if character == '\\' && quoted {
            member.extend(characters.next());
        }
    }
    members.into_iter().map(|member| member.trim_matches([' ', '\t']).to_owned()).filter(|m| !m.is_empty()).collect()
}

/// The first value of the directive `name` as seconds, as RFC 9111 §1.2.2 and §4.2.1 read it.
pub(crate) fn lifetime(list: &str, name: &str) -> Option<u64> {
    let member = members(list).into_iter().find(|member| {
        let spelled = member.split('=').next().unwrap_or_default();
        spelled.trim_end_matches([' ', '\t']).eq_ignore_ascii_case(name)
    })?;
    let argument = match member.split_once('=') {
        // A space before the sign is not in the grammar.
        Some((spelled, argument)) if !spelled.ends_with([' ', '\t']) => argument,
        _ => return Some(0),
    };
    let inside = argument.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(argument);
    let is_number = !inside.is_empty() && inside.chars().all(|digit| digit.is_ascii_digit());
    let seconds = inside.chars().fold(0_u64, |seconds, digit| {
        seconds.saturating_mul(10).saturating_add(u64::from(digit.to_digit(10).unwrap_or(0)))
    });
    Some(if is_number { seconds.min(1 << 31) } else { 0 })
}

/// The name of a query parameter as a form reader sees it; `None` when a percent sign stands before no two digits.
pub(crate) fn decoded(spelled: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let mut bytes = spelled.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                // Two digits make at most 255.
                (digit()? * 16 + digit()?) as u8
            }
            byte => byte,
        });
    }
    Some(decoded)
}
