//! What is refused, each with path, reason and remedy.

use super::{FINE, fine, paths, problems};

/// Exactly one problem, at this path, whose reason holds these words, with a remedy and a place.
#[track_caller]
pub(super) fn refused(text: &str, path: &str, words: &str) {
    let problems = problems(text);
    assert_eq!(paths(&problems), [path], "{problems:#?}");
    let problem = &problems[0];
    let said = format!("{} {}", problem.reason, problem.remedy);
    assert!(said.contains(words), "{said:?} says nothing of {words:?}");
    assert!(!problem.remedy.is_empty());
    assert!(problem.place.is_some() || path == "routes", "{problem:?}");
}

#[track_caller]
pub(super) fn warned(text: &str, path: &str, words: &str) {
    let warnings = fine(text).warnings;
    assert_eq!(paths(&warnings), [path], "{warnings:#?}");
    assert!(warnings[0].reason.contains(words), "{}", warnings[0].reason);
}

/// The fine configuration with a line added to its origin.
pub(super) fn origin(line: &str) -> String {
    FINE.replace("\n\n[[routes]]", &format!("\n{line}\n\n[[routes]]"))
}

/// The same with its origin replaced.
fn with_origin(table: &str) -> String {
    let (_, routes) = FINE.split_once("\n\n").unwrap();
    format!("[origins.current]\n{table}\n{routes}")
}

/// The fine configuration with a line added to its route.
fn route(line: &str) -> String {
    format!("{FINE}{line}\n")
}

/// The fine configuration with another URL.
fn url(url: &str) -> String {
    FINE.replace("\"https://media.example.com/\"", url)
}

#[test]
fn an_unknown_key_is_refused_with_what_was_probably_meant() {
    refused(
        &origin("buckett = \"x\""),
        "origins.current.buckett",
        "did you mean \"bucket\"?",
    );
}

#[test]
fn the_same_origin_twice_is_refused() {
    let problems = problems(&format!("{FINE}[origins.current]\nkind = \"s3\"\n"));
    assert!(
        problems[0]
            .reason
            .contains("\"current\" stands here a second time")
    );
}

#[test]
fn two_routes_of_one_name_are_refused() {
    let other = "[[routes]]\nname = \"a\"\nurl = \"/x/\"\norigins = [\"current\"]\n";
    refused(
        &format!("{}{other}", route("name = \"a\"")),
        "routes[1].name",
        "another",
    );
}

#[test]
fn of_several_routes_each_needs_a_name() {
    let other = "[[routes]]\nurl = \"/x/\"\norigins = [\"current\"]\n";
    refused(
        &format!("{}{other}", route("name = \"a\"")),
        "routes[1].name",
        "each needs a name",
    );
}

#[test]
fn names_are_plain() {
    refused(&route("name = \"My Route\""), "routes[0].name", "a-z");
    refused(&route("cache = \"\""), "routes[0].cache", "a-z");
    refused(
        &FINE.replace("current", "Current"),
        "origins.Current",
        "a-z",
    );
}

#[test]
fn an_unknown_origin_is_refused_wherever_it_is_named() {
    let text = FINE.replace("[\"current\"]", "[\"curent\"]");
    refused(&text, "routes[0].origins[0]", "did you mean \"current\"?");
    refused(
        &route("promote_to = \"curent\""),
        "routes[0].promote_to",
        "current",
    );
    refused(
        &route("uploads_to = \"curent\""),
        "routes[0].uploads_to",
        "current",
    );
}

#[test]
fn promotion_and_uploads_stay_within_the_route() {
    let other = "[origins.other]\nkind = \"s3\"\nendpoint = \"https://x.example\"\nbucket = \"b\"\naccess_key_id = \"a\"\nsecret_access_key = \"b\"\n";
    for key in ["promote_to", "uploads_to"] {
        let text = format!("{other}{}", route(&format!("{key} = \"other\"")));
        refused(&text, &format!("routes[0].{key}"), "not one of the route's");
    }
}

#[test]
fn promotion_needs_an_origin_that_can_be_written() {
    refused(
        &route("promote_to = \"current\""),
        "routes[0].promote_to",
        "cannot be written",
    );
}

#[test]
fn routes_that_answer_the_same_requests_are_refused() {
    for same in [
        "https://media.example.com/",
        "https://media.example.com",
        "http://MEDIA.example.com:8080/",
        "https://media.example.com:443",
    ] {
        let other =
            format!("[[routes]]\nname = \"b\"\nurl = \"{same}\"\norigins = [\"current\"]\n");
        let text = format!("{}{other}", route("name = \"a\""));
        refused(&text, "routes[1].url", "answers there already");
    }
    refused(
        &url("[\"/a/\", \"/a\"]"),
        "routes[0].url[1]",
        "answers there already",
    );
}

#[test]
fn rewrites_that_could_make_two_keys_one_are_refused() {
    let text =
        origin("rewrite = [{ from = \"a/\", to = \"m/\" }, { from = \"b/\", to = \"m/b/\" }]");
    refused(&text, "origins.current.rewrite[1].to", "overlaps");
    let text =
        origin("rewrite = [{ from = \"a/\", to = \"m/\" }, { from = \"a/b/\", to = \"n/\" }]");
    refused(&text, "origins.current.rewrite[1].from", "never reached");
    refused(
        &origin("rewrite = [{ from = \"a/\" }]"),
        "origins.current.rewrite[0]",
        "both its halves",
    );
}

#[test]
fn a_malformed_url_is_refused_and_what_may_be_secret_in_it_hidden() {
    for (endpoint, words) in [
        ("s3.example.com", "needs https://"),
        ("ftp://s3.example.com", "scheme"),
        ("https://", "not a URL"),
        ("https://me:hunter2@s3.example.com", "user name"),
        ("https://s3.example.com/?hunter2", "query"),
        ("https://s3.example.com/#x", "fragment"),
        ("https://s3.example.com/media", "no path"),
    ] {
        let text = FINE.replace("https://s3.example.com", endpoint);
        refused(&text, "origins.current.endpoint", words);
        assert!(!format!("{:?}", problems(&text)).contains("hunter2"));
    }
    refused(&url("\"media.example.com\""), "routes[0].url", "https://");
    refused(
        &url("\"https://media.example.com/?a\""),
        "routes[0].url",
        "query",
    );
    refused(&url("[]"), "routes[0].url", "needs a URL");
}

#[test]
fn half_a_key_pair_is_refused() {
    refused(
        &origin("access_key_id = \"a\""),
        "origins.current.secret_access_key",
        "half a key pair",
    );
    refused(
        &origin("secret_access_key = \"a\""),
        "origins.current.access_key_id",
        "half a key pair",
    );
}

#[test]
fn signed_reads_need_keys_of_both_kinds() {
    let pair = "access_key_id = \"a\"\nsecret_access_key = \"b\"";
    refused(&origin(pair), "routes[0].keys", "would be public");
    refused(
        &origin("read = \"signed\""),
        "origins.current.read",
        "no keys to sign with",
    );
    fine(&origin(&format!("{pair}\nread = \"anonymous\"")));
    fine(&origin("read = \"anonymous\""));
    warned(
        &format!("{}keys = [\"\"]\n", origin(pair)),
        "routes[0].keys[0]",
        "public",
    );
}

#[test]
fn a_price_says_of_what_and_in_which_currency() {
    for price in [
        "0.09",
        "\"0.09\"",
        "\"0.09/GB\"",
        "\"0.09 USD\"",
        "\"cheap\"",
    ] {
        refused(
            &format!("{FINE}[admin]\negress_price = {price}\n"),
            "admin.egress_price",
            "0.09 USD/GB",
        );
    }
}

#[test]
fn a_secret_comes_from_one_place_that_can_be_read() {
    let text = origin("access_key_id = \"a\"\nsecret_access_key_file = \"/nowhere/at-all\"");
    let problems = problems(&text);
    assert_eq!(
        paths(&problems)[0],
        "origins.current.secret_access_key_file"
    );
    refused(
        &format!("{FINE}[admin]\ntoken = \"a\"\ntoken_file = \"b\"\n"),
        "admin.token_file",
        "as well",
    );
    refused(
        &format!("{FINE}[admin]\ntoken = \" \"\n"),
        "admin.token",
        "empty",
    );
}

#[test]
fn a_route_without_a_usable_origin_is_refused() {
    refused(
        &origin("state = \"retired\""),
        "routes[0].origins",
        "retired",
    );
    refused(
        &FINE.replace("[\"current\"]", "[]"),
        "routes[0].origins",
        "needs an origin",
    );
    refused("[server]\n", "routes", "no route");
}

#[test]
fn the_path_that_misskey_answers_itself_is_refused_unless_one_insists() {
    for at in ["\"https://example.com/files/\"", "\"/files\""] {
        refused(&url(at), "routes[0].url", "Misskey answers /files/");
        fine(&format!("{}i_know_this_breaks_misskey = true\n", url(at)));
    }
    for own in [
        "proxy", "api", "assets", "avatar", "emoji", "url", "files/x",
    ] {
        warned(
            &url(&format!("\"https://example.com/{own}\"")),
            "routes[0].url",
            "itself",
        );
    }
}

#[test]
fn routes_that_share_copies_should_agree_on_deletions() {
    let other = |lines: &str| {
        let first = FINE.replace("[[routes]]", "[[routes]]\nname = \"a\"\ncache = \"both\"");
        format!(
            "{first}[[routes]]\nname = \"b\"\nurl = \"https://b.example.com/\"\n\
             origins = [\"current\"]\n{lines}\n"
        )
    };
    let follows = "deletes = \"follow\"\n";
    let shares = "cache = \"both\"\n";
    warned(
        &other(&format!("{follows}{shares}")),
        "routes[1].deletes",
        "same cache space",
    );
    for fine_lines in [follows, shares] {
        assert_eq!(fine(&other(fine_lines)).warnings, []);
    }
}

#[test]
fn the_state_never_lies_in_the_cache() {
    for state in ["/c", "/c/state", "/x/../c"] {
        refused(
            &format!("{FINE}[state]\ndirectory = \"{state}\"\n[cache]\ndirectory = \"/c\"\n"),
            "state.directory",
            "inside the cache",
        );
    }
    fine(&format!(
        "{FINE}[state]\ndirectory = \"/c-2\"\n[cache]\ndirectory = \"/c\"\n"
    ));
}

#[test]
fn a_directory_origin_never_holds_our_own_files() {
    let text = with_origin("kind = \"filesystem\"\nroot = \"/var/lib\"");
    refused(&text, "origins.current.root", "private files");
}

#[test]
fn a_key_of_another_kind_is_refused_with_the_kind_it_belongs_to() {
    refused(
        &origin("root = \"/srv\""),
        "origins.current.root",
        "belongs to kind \"filesystem\"",
    );
    refused(
        &origin("missing_means = \"unknown\""),
        "origins.current.missing_means",
        "\"http\"",
    );
    let text = with_origin("kind = \"filesystem\"\nroot = \"/srv/x\"\nip = \"v4\"");
    refused(&text, "origins.current.ip", "\"s3\" and \"http\"");
}

#[test]
fn an_origin_lacks_nothing_that_its_kind_needs() {
    refused(
        &with_origin("bucket = \"b\""),
        "origins.current.kind",
        "needs a kind",
    );
    refused(
        &with_origin("kind = \"http\""),
        "origins.current.url",
        "its URL",
    );
    refused(
        &with_origin("kind = \"filesystem\""),
        "origins.current.root",
        "its directory",
    );
    let problems = problems(&with_origin("kind = \"s3\""));
    assert_eq!(
        paths(&problems),
        ["origins.current.endpoint", "origins.current.bucket"]
    );
}

#[test]
fn numbers_without_sense_are_refused() {
    refused(
        &origin("hedge_after = \"0s\""),
        "origins.current.hedge_after",
        "more than zero",
    );
    refused(
        &origin("max_requests = \"0/s\""),
        "origins.current.max_requests",
        "more than zero",
    );
    refused(
        &origin("connect_timeout = 5"),
        "origins.current.connect_timeout",
        "\"400ms\"",
    );
    refused(
        &origin("max_egress = \"lots\""),
        "origins.current.max_egress",
        "900 GB/month",
    );
    refused(
        &format!("{FINE}[server.limits]\nheader_bytes = \"1 KB\"\n"),
        "server.limits.header_bytes",
        "8 KiB",
    );
    refused(
        &format!("{FINE}[cache]\nmissing = \"1h\"\n"),
        "cache.missing",
        "not found",
    );
}

#[test]
fn headers_that_cannot_be_sent_are_refused() {
    refused(
        &route("cache_control = \"a\\nb\""),
        "routes[0].cache_control",
        "header",
    );
    refused(
        &route("inline_types = [\"pdf\"]"),
        "routes[0].inline_types[0]",
        "media type",
    );
    warned(
        &route("inline_types = [\"image/svg+xml\"]"),
        "routes[0].inline_types[0]",
        "scripts",
    );
}

#[test]
fn published_prefixes_that_no_url_reaches_are_refused() {
    let text = route("key_prefix = \"storage/\"\nkeys = [\"misskey/\"]");
    refused(&text, "routes[0].keys[0]", "storage/");
    fine(&route(
        "key_prefix = \"storage/\"\nkeys = [\"storage/misskey/\"]",
    ));
    warned(
        &route("keys = [\"misskey\"]"),
        "routes[0].keys[0]",
        "misskey-backup",
    );
}

#[test]
fn what_works_and_is_probably_not_meant_is_warned_of() {
    warned(
        &origin("forbidden_means = \"missing\""),
        "origins.current.forbidden_means",
        "403",
    );
    warned(
        &with_origin("kind = \"filesystem\"\nroot = \"/srv/x\"\nmarker = \"\""),
        "origins.current.marker",
        "not mounted",
    );
    warned(
        &format!("{FINE}[admin]\nlisten = \"[::]:9090\"\n"),
        "admin.listen",
        "no token",
    );
    warned(
        &format!("{FINE}[origins.spare]\nkind = \"http\"\nurl = \"https://x.example\"\n"),
        "origins.spare",
        "no route uses",
    );
    warned(
        &FINE.replace("https://s3.example.com", "https://media.example.com"),
        "origins.current.endpoint",
        "ask itself",
    );
}
