//! What the page says, in English and in Japanese, side by side.
//!
//! Only texts; `{0}` and `{1}` stand for what is put in by [`fill`]. Numbers are not words.

use super::labels::Labels;

/// A language of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Japanese,
}

impl Language {
    /// Both, in the order in which they are offered.
    pub(crate) const ALL: [Self; 2] = [Self::English, Self::Japanese];

    /// As in `lang` (BCP 47).
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Japanese => "ja",
        }
    }

    /// As it calls itself.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Japanese => "日本語",
        }
    }

    /// Its texts.
    pub(crate) fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::Japanese => &JAPANESE,
        }
    }

    /// Its names for what metrics call by a label.
    pub(crate) fn labels(self) -> Labels {
        Labels(self)
    }

    /// What somebody reads: what the URL says, else the header `Accept-Language` (RFC 9110
    /// section 12.5.4), else English.
    pub(crate) fn of(asked: Option<&str>, accepted: Option<&str>) -> Self {
        let named = |text: &str| {
            let first = text.trim().split('-').next().unwrap_or_default();
            let mut all = Self::ALL.into_iter();
            all.find(|language| first.eq_ignore_ascii_case(language.code()))
        };
        if let Some(language) = asked.and_then(named) {
            return language;
        }
        let mut best = (Self::English, 0.0);
        for range in accepted.unwrap_or_default().split(',') {
            let mut parts = range.split(';');
            let language = named(parts.next().unwrap_or_default());
            let weight = parts.find_map(|part| part.trim().strip_prefix("q="));
            let weight = weight.map_or(1.0, |weight| weight.trim().parse().unwrap_or(0.0));
            if let Some(language) = language
                && weight > best.1
            {
                best = (language, weight);
            }
        }
        best.0
    }
}

/// Puts values where a text has `{0}`, `{1}` and so on. What is put in is not looked at again.
pub(crate) fn fill(text: &str, values: &[&str]) -> String {
    let mut filled = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        let digit = rest[at..].get(1..2).and_then(|digit| digit.parse().ok());
        let value = digit.and_then(|digit: usize| values.get(digit));
        if let Some(value) = value {
            filled.push_str(value);
            rest = &rest[at + 3..];
        } else {
            filled.push('{');
            rest = &rest[at + 1..];
        }
    }
    filled.push_str(rest);
    filled
}

macro_rules! words {
    ($($name:ident: $english:literal, $japanese:literal;)+) => {
        /// Every text of one language.
        pub(crate) struct Words {
            $(pub(crate) $name: &'static str,)+
        }

        const ENGLISH: Words = Words { $($name: $english,)+ };
        const JAPANESE: Words = Words { $($name: $japanese,)+ };

        #[cfg(test)]
        const PAIRS: &[(&str, &str, &str)] = &[$((stringify!($name), $english, $japanese),)+];
    };
}

words! {
    // The frame.
    skip: "Skip to the content", "本文へ移動";
    sections: "Sections", "セクション";
    language: "Language", "言語";
    overview: "Overview", "概況";
    origins: "Origins", "オリジン";
    migration: "Migration", "移行";
    explain: "Explain", "調べる";
    cache: "Cache", "キャッシュ";
    back: "Back to the overview", "概況に戻る";
    version: "version {0} · running for {1}", "バージョン {0} · 稼働 {1}";
    live: "live", "自動更新中";
    lost: "No connection to the gateway. What you see is old.", "ゲートウェイに接続できません。表示は古いものです。";
    paused: "paused", "一時停止中";
    refreshes: "This page loads itself again every 30 seconds.", "このページは30秒ごとに再読み込みされます。";

    // Times.
    second: "{0} s", "{0}秒";
    minute: "{0} min", "{0}分";
    hour: "{0} h", "{0}時間";
    day: "{0} d", "{0}日";
    ago: "{0} ago", "{0}前";
    now: "now", "今";
    never: "never", "なし";
    none: "none", "なし";

    // The sentence at the top.
    between: " ", "";
    all_answer: "All origins answer.", "すべてのオリジンが応答しています。";
    nobody_asked: "No origin had to be asked yet.", "まだどのオリジンにも問い合わせていません。";
    is_down: "“{0}” does not answer: {1}.", "「{0}」が応答しません: {1}。";
    is_suspect: "“{0}” misses objects that it is known to hold. Its “missing” counts for nothing.", "「{0}」にあるはずのオブジェクトがありません。「ない」という返事は信用しません。";
    is_failing: "“{0}” fails: {1}.", "「{0}」が失敗しています: {1}。";
    no_errors_hour: "No errors in the last hour.", "過去1時間にエラーはありません。";
    no_errors_since: "No errors since the start {0} ago.", "{0}前の起動からエラーはありません。";
    errors_hour: "Requests answered with an error in the last hour: {0}.", "過去1時間に{0}件がエラーになりました。";
    errors_since: "Requests answered with an error since the start {1} ago: {0}.", "{1}前の起動から{0}件がエラーになりました。";
    cache_is_down: "The cache’s disk cannot be used; viewers are served from the origins.", "キャッシュのディスクが使えません。オリジンから配信しています。";
    draining: "The gateway is stopping: running downloads may finish.", "停止中です。進行中のダウンロードだけ続けます。";
    rehearses_safely: "“{0}” rehearses its retirement, and nothing would have been lost.", "「{0}」は引退のリハーサル中で、失われるものはありませんでした。";
    rehearses_saving: "“{0}” rehearses its retirement. Requests that would have been lost: {1}.", "「{0}」は引退のリハーサル中で、{1}件が失われるところでした。";
    is_copied: "“{0}” is being copied to “{1}”: {2}.", "「{0}」を「{1}」へコピー中: {2}。";
    is_copied_until: "“{0}” is being copied to “{1}”: {2}, {3} left.", "「{0}」を「{1}」へコピー中: {2}、残り{3}。";
    may_go: "“{0}” may be switched off, as its audit {1} ago says.", "「{0}」は停止できます({1}前の監査)。";

    // Overview.
    last_hour: "last hour", "過去1時間";
    last_day: "last day", "過去24時間";
    numbers_of_hour: "The last hour", "過去1時間";
    answers: "Answers", "応答";
    per_second: "{0}/s", "{0}/秒";
    found: "Found (2xx)", "あった (2xx)";
    missing: "Not found (404)", "ない (404)";
    failed: "Errors (503)", "エラー (503)";
    first_byte: "First byte, median", "最初の1バイト(中央値)";
    most_below: "95 %: {0}", "95 %: {0}";
    nearly_all_below: "99 %: {0}", "99 %: {0}";
    hit_ratio: "From the cache", "キャッシュから";
    egress_saved: "Egress saved", "節約した転送量";
    of_day: "last day: {0}", "過去24時間: {0}";
    counted: "{0} in the last hour", "過去1時間に{0}件";
    plot_answers: "Answers in a second", "1秒あたりの応答";
    plot_bytes: "Bytes in a second", "1秒あたりのバイト";
    plot_first_byte: "95 % of first bytes within", "最初の1バイトまで (95 %)";
    plot_says: "{0}, {1}: at most {2}, now {3}", "{0}、{1}: 最大{2}、現在{3}";
    sent: "sent", "送信";
    from_cache: "of it from the cache", "うちキャッシュから";
    found_short: "found", "あった";
    missing_short: "not found", "ない";
    failed_short: "errors", "エラー";

    // Origins.
    asked_as: "asked as no. {0}", "{0}番目に問い合わせ";
    asked_last: "rehearsal: asked last", "リハーサル: 最後に問い合わせ";
    state_unasked: "Not asked yet", "まだ問い合わせなし";
    state_answers: "Answers", "応答しています";
    state_failing: "Fails", "失敗しています";
    state_suspect: "Not to be believed", "信用できません";
    state_down: "Does not answer", "応答しません";
    why_unasked: "No request has needed it since the start.", "起動してから必要になっていません。";
    why_answers: "Its answers count.", "返事は有効です。";
    why_failing: "The last thing that it did was to fail: {0}.", "最後の問い合わせが失敗しました: {0}。";
    why_suspect: "Objects that it is known to hold are missing: another bucket, or an emptied one?", "あるはずのオブジェクトがありません。別のバケットか、空になったのでは?";
    why_down: "It is left alone after failures and tried now and then: {0}.", "失敗が続いたため、しばらく放っておき、時々試します: {0}。";
    share: "Gave {0} of what was found in the last hour", "過去1時間に見つかったものの{0}を提供";
    share_none: "Nothing had to be fetched in the last hour", "過去1時間に取得したものはありません";
    share_plot: "Its part of what was found, over the last hour", "見つかったものに占める割合(過去1時間)";
    last_found: "Last found something", "最後に見つけた";
    last_error: "Last error", "最後のエラー";
    breaker: "Breaker", "ブレーカー";
    breaker_closed: "asked in its turn", "順番どおりに問い合わせ";
    breaker_open: "left alone for a while", "しばらく問い合わせない";
    canaries: "Canaries", "カナリア";
    canaries_ready: "{0} known, to prove that it is the same one", "{0}個のキーで同じオリジンだと確認";
    canaries_none: "none yet: it learns them by serving", "まだありません(配信しながら覚えます)";
    questions: "Questions", "問い合わせ";
    read: "Read from it", "読み出し";
    read_split: "{0} for viewers, {1} in the background", "閲覧者に{0}、裏で{1}";
    budget: "Budget", "予算";
    budget_day: "{0} of {1} left today", "今日の残り {0} / {1}";
    budget_month: "{0} of {1} left this month", "今月の残り {0} / {1}";
    saves: "Saves while rehearsing", "リハーサル中の救済";
    saved_keys: "Keys that only it could give ({0})", "ここにしかなかったキー ({0})";
    saved_keys_unknown: "The ledger does not answer, so the keys are not known.", "台帳が応答しないため、キーは分かりません。";
    retired: "Retired, never contacted: {0}", "引退(接続しません): {0}";
    since_start: "since the start", "起動から";

    // Migration.
    runs: "Copying in bulk", "一括コピー";
    no_runs: "No migration has told anything since the start.", "起動してから、移行の知らせはありません。";
    listing_target: "Listing the target", "コピー先を一覧中";
    listing_source: "Listing the source", "コピー元を一覧中";
    copying: "Copying", "コピー中";
    complete: "Complete: the target has everything.", "完了: コピー先にすべてあります。";
    incomplete: "Ended, and not everything was copied.", "終了しましたが、コピーできなかったものがあります。";
    unable: "It could not be done.", "実行できませんでした。";
    silent: "It tells nothing any more: killed, or out of reach?", "知らせが途絶えました。強制終了か、通信できないのでは?";
    objects: "Objects", "オブジェクト";
    of_all: "{0} of {1}", "{1}中{0}";
    bytes: "Bytes", "バイト";
    speed: "Speed", "速度";
    remaining: "Left", "残り";
    failures: "Failures", "失敗";
    failures_shown: "Failures ({0}), the first ones", "失敗 ({0}件)の最初の分";
    key: "Key", "キー";
    reason: "Reason", "理由";
    times: "Times", "回数";
    promotions: "Copying what is asked for", "要求されたもののコピー";
    promotions_off: "No route promotes.", "どのルートもコピーしません。";
    promotions_waiting: "Waiting", "待ち";
    to_origin: "To “{0}”", "「{0}」へ";
    may_it_go: "May the old one go?", "古いオリジンを停止できるか";
    no_audits: "No audit has told anything since the start.", "起動してから、監査の知らせはありません。";
    audit_safe: "“{0}” may be switched off.", "「{0}」は停止できます。";
    audit_not_safe: "“{0}” must not be switched off. Reasons: {1}.", "「{0}」は停止できません: 理由{1}件。";
    audit_cannot_tell: "Whether “{0}” may be switched off cannot be told.", "「{0}」を停止できるかは分かりません。";
    audit_counts: "{0} of {1} objects are proven elsewhere · {2} ago", "{1}個中{0}個が他にあると確認 · {2}前";
    blockers: "What stands against it", "停止できない理由";
    doubts: "What could not be looked at", "確認できなかったこと";
    withdrawn: "Deleted by the application", "アプリケーションが削除";
    withdrawn_route: "Route “{0}”", "ルート「{0}」";
    withdrawn_count: "{0} noticed since the start", "起動から{0}件";
    withdrawn_brake: "More than deletes_brake lets follow", "deletes_brakeの上限を超えています";
    withdrawn_list: "List the keys", "キーの一覧";

    // Cache.
    cache_up: "The disk is used.", "ディスクを使っています。";
    cache_down: "The disk cannot be used. The log says why, and what to do.", "ディスクが使えません。理由と対処はログにあります。";
    cache_off: "There is no cache.", "キャッシュはありません。";
    disk: "Disk", "ディスク";
    memory: "Memory", "メモリー";
    entries: "Objects on the disk", "ディスク上のオブジェクト";
    orphans: "Of them in no origin any more", "うちどのオリジンにもないもの";
    fills: "Downloads now", "取得中";
    followers: "Waited for another’s download", "他の取得を待ったもの";
    hits: "Found in memory · on the disk", "メモリーから · ディスクから";
    evicted: "Left the disk", "ディスクから消えたもの";
    errors: "Errors of the disk", "ディスクのエラー";

    // Explain.
    explain_hint: "Paste a URL that viewers use. Each origin is asked once, for the head only.", "閲覧者が使うURLを貼ってください。各オリジンに一度だけ、ヘッダーだけを問い合わせます。";
    url: "URL", "URL";
    explain_button: "Explain", "調べる";
    answer: "A viewer would get {0}", "閲覧者への応答は{0}";
    route: "Route", "ルート";
    hint: "Remembered place", "記憶している場所";
    held: "In the cache", "キャッシュ";
    held_copy: "{0}, from “{1}”, confirmed {2} ago", "{0}、「{1}」から、{2}前に確認";
    held_stale: "old, asked for again when used", "古いため、使うときに再確認";
    held_not: "no copy", "コピーなし";
    origin: "Origin", "オリジン";
    its_key: "Its key", "そこでのキー";
    verdict: "Verdict", "判定";
    took: "Took", "時間";
    why: "Why", "理由";
    withdrawn_since: "Deleted by the application at “{0}”", "アプリケーションが「{0}」から削除";
    not_a_url: "This is no URL of a web server: {0}", "WebサーバーのURLではありません: {0}";

    // Changes.
    purge: "Drop copies from the cache", "キャッシュから消す";
    purge_hint: "A URL, a path or a key. The objects stay at their origins.", "URL、パス、またはキー。オリジンのオブジェクトは残ります。";
    purge_what: "What to drop", "消すもの";
    purge_below: "and everything below it", "その下のすべても";
    purge_next: "Drop…", "消す…";
    purge_confirm: "These copies will be dropped:", "次のコピーを消します:";
    purge_do: "Drop them", "消す";
    purged: "Objects dropped: {0} ({1}).", "{0}個、{1}を消しました。";
    purged_weakly: "It is not written down, because the disk cannot be used: a restart may find them again.", "ディスクが使えないため記録できません。再起動で戻ることがあります。";
    fleet_later: "Not every gateway has done it; each does it as soon as it reaches Redis.", "まだ全てのゲートウェイに届いていません。Redisにつながり次第、反映されます。";
    tombstone: "Let a key stay gone", "キーを永久に消す";
    tombstone_hint: "It is answered 410 from then on, whatever any origin has. Nothing is deleted at the origins.", "以後、どのオリジンにあっても410を返します。オリジンからは削除しません。";
    tombstone_what: "URL or key", "URLまたはキー";
    tombstone_reason: "Why, for whoever reads the list", "理由(一覧を読む人のため)";
    tombstone_next: "Let it stay gone…", "永久に消す…";
    tombstone_confirm: "These keys will be answered 410 from now on:", "次のキーは今後410を返します:";
    tombstone_do: "Let them stay gone", "永久に消す";
    tombstoned: "Keys that stay gone from now on: {0}.", "{0}個のキーを永久に消しました。";
    space: "in cache space “{0}”", "キャッシュ空間「{0}」";
    everything_below: "everything below", "以下すべて:";
    token: "Token (admin.token)", "トークン (admin.token)";
    token_hint: "It is typed each time, and kept nowhere.", "毎回入力します。どこにも保存しません。";
    cancel: "Cancel", "やめる";
    refused: "Nothing was changed", "何も変更していません";
    refused_elsewhere: "A page of another site may not change anything here.", "他のサイトのページからは何も変更できません。";
    refused_off: "Changes are off: set admin.token or admin.token_file, or use the commands beside the gateway.", "変更は無効です。admin.tokenかadmin.token_fileを設定するか、コマンドを使ってください。";
    refused_token: "The token is not admin.token.", "トークンがadmin.tokenと違います。";
    done: "Done", "完了";

    // The list of withdrawn keys.
    withdrawn_title: "Keys that the application has deleted", "アプリケーションが削除したキー";
    withdrawn_empty: "There are none.", "ありません。";
    since: "Since", "いつから";
    followed: "Answered 410", "410を返す";
    yes: "yes", "はい";
    no: "no", "いいえ";
    next_page: "Next page", "次のページ";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_say_everything_with_the_same_values() {
        let values = |text: &str| {
            (0..4)
                .map(|n| text.contains(&format!("{{{n}}}")))
                .collect::<Vec<_>>()
        };
        for (name, english, japanese) in PAIRS {
            let is_said = !english.is_empty() && !japanese.is_empty();
            assert!(is_said || *name == "between", "{name}");
            assert_eq!(values(english), values(japanese), "{name}");
        }
    }

    #[test]
    fn values_are_put_in_once_and_not_looked_at_again() {
        assert_eq!(fill("“{0}” to {1}, {0}", &["{1}", "b"]), "“{1}” to b, {1}");
        assert_eq!(fill("{ {9} {x} {", &["a"]), "{ {9} {x} {");
        assert_eq!(fill("{夕}", &[]), "{夕}");
    }

    #[test]
    fn the_url_decides_the_language_before_the_browser() {
        use Language::{English, Japanese};
        for (asked, accepted, expected) in [
            (None, None, English),
            (Some("ja"), Some("en"), Japanese),
            (Some("JA-jp"), None, Japanese),
            (Some("<script>"), Some("ja"), Japanese),
            (None, Some("ja,en-US;q=0.9,en;q=0.8"), Japanese),
            (None, Some("fr, en;q=0.5, ja;q=0.7"), Japanese),
            (None, Some("ja;q=0, en"), English),
            (None, Some("ja;q=nonsense"), English),
            (None, Some("*"), English),
        ] {
            assert_eq!(
                Language::of(asked, accepted),
                expected,
                "{asked:?} {accepted:?}"
            );
        }
    }
}
