//! What metrics call by a label, in words.
//!
//! An unknown label is shown as it is.

use super::words::Language;

/// The names of one language.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Labels(pub(super) Language);

type Names = &'static [(&'static str, &'static str, &'static str)];

/// Why an origin's answer counts for nothing.
const REASONS: Names = &[
    ("dns", "its name does not resolve", "名前を解決できません"),
    ("connect", "no connection", "接続できません"),
    (
        "tls",
        "its certificate or the handshake was refused",
        "証明書かTLSの問題です",
    ),
    ("timeout", "no answer in time", "時間内に応答がありません"),
    (
        "throttled",
        "it asks for fewer requests",
        "リクエストが多すぎると言っています",
    ),
    (
        "credentials",
        "it does not accept our key, signature or clock",
        "キー、署名、または時計を受け付けません",
    ),
    ("denied", "it refuses requests", "要求を拒否しています"),
    (
        "bucket",
        "the bucket does not exist, or exists elsewhere",
        "バケットがないか、別の場所です",
    ),
    (
        "suspended",
        "the account is suspended or over its cap",
        "アカウントが停止中か上限超過です",
    ),
    (
        "server_error",
        "it answers with errors of its own",
        "サーバーエラーを返しています",
    ),
    (
        "protocol",
        "its answers are not from a storage",
        "ストレージの応答ではありません",
    ),
    (
        "disk",
        "the directory cannot be trusted or read",
        "ディレクトリーを信用できないか読めません",
    ),
    (
        "breaker",
        "it is left alone after failures",
        "失敗のため問い合わせていません",
    ),
    (
        "budget",
        "a limit of ours is reached",
        "こちらの上限に達しました",
    ),
];

const VERDICTS: Names = &[
    ("found", "found", "ある"),
    ("missing", "missing", "ない"),
    ("withheld", "withheld", "非公開"),
    ("unknown", "unknown", "不明"),
];

/// What became of a copy of what was asked for.
const PROMOTIONS: Names = &[
    ("copied", "copied", "コピーした"),
    ("present", "there already", "すでにある"),
    ("differs", "another object there", "別のものがある"),
    ("deleted", "deleted by application or operator", "削除済み"),
    ("orphan", "only in the cache", "キャッシュだけ"),
    ("changed", "changed meanwhile", "途中で変わった"),
    ("unfit", "cannot be verified", "検証できない"),
    ("unreadable", "not readable there", "そこで読めない"),
    ("budget", "budget used up", "予算切れ"),
    ("failed", "failed", "失敗"),
    ("crowded", "too many were waiting", "混雑"),
];

/// Why a rehearsing origin had to answer.
const SAVES: Names = &[
    ("missing", "would be lost", "失われるもの"),
    (
        "unknown",
        "another origin was in trouble",
        "他のオリジンの障害",
    ),
    (
        "withdrawn",
        "deleted by the application",
        "アプリケーションが削除",
    ),
];

impl Labels {
    pub(crate) fn reason(self, label: &str) -> &str {
        self.name(REASONS, label)
    }

    pub(crate) fn verdict(self, label: &str) -> &str {
        self.name(VERDICTS, label)
    }

    pub(crate) fn promotion(self, label: &str) -> &str {
        self.name(PROMOTIONS, label)
    }

    pub(crate) fn save(self, label: &str) -> &str {
        self.name(SAVES, label)
    }

    fn name(self, names: Names, label: &str) -> &str {
        let known = names.iter().find(|(known, ..)| *known == label);
        known.map_or(label, |(_, english, japanese)| match self.0 {
            Language::English => english,
            Language::Japanese => japanese,
        })
    }
}

#[cfg(test)]
mod tests {
    use origin_resolver::{Reason, SaveCause, VerdictLabel};

    use super::*;
    use crate::promotion::Outcome;

    #[test]
    fn every_label_of_metrics_has_a_name() {
        let all = [
            (REASONS, Reason::ALL.map(Reason::label).to_vec()),
            (
                VERDICTS,
                VerdictLabel::ALL.map(VerdictLabel::label).to_vec(),
            ),
            (SAVES, SaveCause::ALL.map(SaveCause::label).to_vec()),
            (PROMOTIONS, Outcome::ALL.map(Outcome::label).to_vec()),
        ];
        for (names, labels) in all {
            let named: Vec<_> = names.iter().map(|(label, ..)| *label).collect();
            let mut missing = labels.iter().filter(|label| !named.contains(label));
            assert_eq!(missing.next(), None);
        }
        assert_eq!(Language::Japanese.labels().reason("new_one"), "new_one");
    }
}
