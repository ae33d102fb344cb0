//! What the documents say and the code does is the same.

use std::fs;
use std::path::Path;
use std::process::Command;

fn document(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_robot_in_the_readme_is_the_compiled_example() {
    let readme = document("README.md");
    let (_, after) = readme.split_once("```rust\n").expect("the README has a Rust block");
    let (block, _) = after.split_once("```").expect("the block ends");
    assert_eq!(block, document("examples/own_robot.rs"));
}

#[test]
fn contributing_lists_every_check_in_order() {
    let list = Command::new(env!("CARGO_BIN_EXE_xtask")).args(["test", "--list"]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let checks: Vec<_> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(checks.len() > 5, "{list}");

    let contributing = document("CONTRIBUTING.md");
    let listed: Vec<_> = contributing.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(listed, checks);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        let text = document(name);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(link.starts_with("https://") || root.join(link).is_file(), "{name} links to {link}");
        }
    }
}
