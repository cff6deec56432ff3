use alloc::vec;

use proptest::prelude::*;

use super::*;

fn upstash() -> Upstash {
    Upstash::new("https://eu1.upstash.example/", "token").unwrap()
}

#[test]
fn requests_are_as_the_documentation_has_them() {
    let upstash = upstash();
    for (request, url, body) in [
        (upstash.command(&["GET", "a\"\\\n\u{1}é"]), "/", "[\"GET\",\"a\\\"\\\\\\u000a\\u0001é\"]"),
        (upstash.command(&[]), "/", "[]"),
        (upstash.pipeline(&[&["PING"], &["GET", "a"]]), "/pipeline", "[[\"PING\"],[\"GET\",\"a\"]]"),
        (upstash.transaction(&[&["PING"]]), "/multi-exec", "[[\"PING\"]]"),
    ] {
        assert_eq!((&*request.url, &*request.body), (&*format!("https://eu1.upstash.example{url}"), body));
        assert_eq!(request.authorization, "Bearer token");
        assert!(!format!("{request:?} {upstash:?}").contains("token"));
    }
}

#[test]
fn what_cannot_be_right_is_refused() {
    for (url, token) in [
        ("http://upstash.example", "t"),
        ("", "t"),
        ("https://upstash.example", ""),
        ("https://upstash.example", "a b"),
    ] {
        assert!(matches!(Upstash::new(url, token), Err(Error::Configuration(_))), "{url} {token}");
    }
    assert!(Upstash::new("http://127.0.0.1:8080", "t").is_ok());
}

#[test]
fn answers_are_read() {
    let text = |text: &str| Value::Text(text.to_owned());
    for (status, body, expect) in [
        (200, "{\"result\":null}", Ok(Value::Nil)),
        (200, " { \"result\" : -7 } ", Ok(Value::Integer(-7))),
        (200, "{\"result\":\"OK\"}", Ok(text("OK"))),
        (200, "{\"result\":\"\\u00e9\\ud83d\\ude00\\n\\/\"}", Ok(text("é😀\n/"))),
        (200, "{\"result\":[]}", Ok(Value::List(vec![]))),
        (
            200,
            "{\"result\":[\"1\",2,[null]]}",
            Ok(Value::List(vec![text("1"), Value::Integer(2), Value::List(vec![Value::Nil])])),
        ),
        (400, "{\"error\":\"WRONGTYPE no\"}", Err(Error::Redis("WRONGTYPE no".to_owned()))),
        (200, "{\"error\":\"ERR no\"}", Err(Error::Redis("ERR no".to_owned()))),
        (401, "{\"error\":\"WRONGPASS\"}", Err(Error::Unauthorized)),
        (429, "", Err(Error::Status(429))),
        (500, "<html>", Err(Error::Status(500))),
        (400, "{\"result\":1}", Err(Error::Malformed)),
        (200, "", Err(Error::Malformed)),
        (200, "[]", Err(Error::Malformed)),
        (200, "{\"result\":1} 2", Err(Error::Malformed)),
        (200, "{\"result\":1.5}", Err(Error::Malformed)),
        (200, "{\"result\":99999999999999999999}", Err(Error::Malformed)),
        (200, "{\"result\":\"\\ud83d\"}", Err(Error::Malformed)),
        (200, "{\"result\":\"\\u00+1\"}", Err(Error::Malformed)),
        (200, "{\"result\":{}}", Err(Error::Malformed)),
        (200, "{\"other\":1}", Err(Error::Malformed)),
    ] {
        assert_eq!(read(status, body), expect, "{status} {body}");
    }
    let deep = |depth: usize| format!("{{\"result\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(200, &deep(DEPTH_MAX - 1)).is_ok());
    assert_eq!(read(200, &deep(DEPTH_MAX)), Err(Error::Malformed));
    let long = |bytes: usize| format!("{{\"result\":\"{}\"}}", "a".repeat(bytes - 13));
    assert!(read(200, &long(RESPONSE_BYTES_MAX)).is_ok());
    assert_eq!(read(200, &long(RESPONSE_BYTES_MAX + 1)), Err(Error::TooLong));
}

#[test]
fn each_command_of_a_pipeline_has_its_own_answer() {
    let body = "[{\"result\":1},{\"error\":\"ERR no\"}]";
    let refused = Err(Error::Redis("ERR no".to_owned()));
    assert_eq!(read_pipeline(200, body, 2), Ok(vec![Ok(Value::Integer(1)), refused]));
    assert_eq!(read_pipeline(200, body, 3), Err(Error::Malformed));
    assert_eq!(read_pipeline(200, "{\"result\":1}", 1), Err(Error::Malformed));
    let discarded = "{\"error\":\"EXECABORT no\"}";
    assert_eq!(read_pipeline(400, discarded, 2), Err(Error::Redis("EXECABORT no".to_owned())));
    assert_eq!(read_pipeline(401, discarded, 2), Err(Error::Unauthorized));
}

#[test]
fn a_script_that_stays_unknown_is_sent_twice_and_no_more() {
    let upstash = upstash();
    let mut script = Script::new(&upstash, "return 1", "e0e1", &["k"], &["v"]);
    assert_eq!(script.request().body, "[\"EVALSHA\",\"e0e1\",\"1\",\"k\",\"v\"]");
    let unknown = "{\"error\":\"NOSCRIPT No matching script\"}";
    assert_eq!(script.hear(400, unknown), Ok(Next::Send));
    assert_eq!(script.request().body, "[\"EVAL\",\"return 1\",\"1\",\"k\",\"v\"]");
    assert!(script.hear(400, unknown).is_err_and(|error| error.is_noscript()));
    assert_eq!(Script::new(&upstash, "", "", &[], &[]).hear(503, ""), Err(Error::Status(503)));
    let texts = Value::List(vec![Value::Text("1".to_owned()), Value::Integer(2)]).into_texts();
    assert_eq!(texts, Some(vec!["1".to_owned(), "2".to_owned()]));
    assert_eq!(Value::Integer(1).into_texts(), None);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What is written reads back, and nothing that is read makes the reader stumble.
    #[test]
    fn texts_survive_the_way_there_and_back(words in prop::collection::vec(any::<String>(), 0..8), noise in any::<String>()) {
        let mut list = String::new();
        json::append_list(&mut list, words.iter().map(String::as_str));
        let texts = read(200, &format!("{{\"result\":{list}}}")).unwrap().into_texts();
        prop_assert_eq!(texts, Some(words));
        let _ = read(200, &noise);
        let _ = read(200, &format!("{{\"result\":\"{noise}"));
    }
}

#[test]
fn an_error_is_shown_without_what_it_quotes() {
    for (words, shown) in [
        ("WRONGTYPE key seawall:{203.0.113.7}:a", "WRONGTYPE"),
        ("ERR unknown command 'secret'", "ERR"),
        ("seawall:{203.0.113.7}:a is gone", "without a code"),
        ("", "without a code"),
    ] {
        let error = Error::Redis(words.to_owned());
        assert_eq!(alloc::format!("{error}"), alloc::format!("Redis refused the command: {shown}"));
    }
}
