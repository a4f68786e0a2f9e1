//! The rules, over the files of this repository. Each breach is printed as file, line, problem
//! and remedy.

use std::path::Path;

use tidy::{Finding, Tree};

#[test]
fn libraries_stay_behind_their_walls() {
    judge(|tree| {
        let mut found = each(tree, ".rs", tidy::walls);
        found.extend(each(tree, ".rs", tidy::spawned_tasks));
        found.extend(tidy::cacache_in_one_file(tree));
        found
    });
}

#[test]
fn every_file_says_what_it_is_for() {
    judge(|tree| each(tree, ".rs", tidy::headers));
}

#[test]
fn no_file_is_too_long() {
    judge(|tree| each(tree, ".rs", tidy::lengths));
}

#[test]
fn nothing_is_left_for_later() {
    judge(|tree| each(tree, ".rs", tidy::unfinished));
}

#[test]
fn every_test_is_run() {
    judge(|tree| each(tree, ".rs", tidy::ignored_tests));
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    judge(|tree| each(tree, "", tidy::leaks));
}

#[test]
fn what_the_documents_name_exists() {
    judge(|tree| {
        let mut found = each(tree, ".md", |path, text| {
            tidy::broken_links(path, text, tree)
        });
        found.extend(each(tree, ".md", |path, text| {
            tidy::missing_paths(path, text, tree)
        }));
        found.extend(each(tree, ".md", |path, text| {
            tidy::unknown_metrics(path, text, tree)
        }));
        found
    });
}

#[test]
fn every_example_is_mentioned() {
    judge(tidy::unmentioned_examples);
}

fn each(tree: &Tree, ending: &str, rule: impl Fn(&str, &str) -> Vec<Finding>) -> Vec<Finding> {
    tree.texts_ending(ending)
        .flat_map(|(path, text)| rule(path, text))
        .collect()
}

#[track_caller]
fn judge(rule: impl FnOnce(&Tree) -> Vec<Finding>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tree = Tree::read(&root).expect("the repository can be read");
    assert!(tree.has("Cargo.toml"), "this is not the whole repository");
    let found: Vec<String> = rule(&tree).iter().map(Finding::to_string).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}
