//! What the disk has spoiled is noticed, said once, and made anew.

use crate::Scene;

const DOCKERFILE: &str = "FROM scratch\nCOPY file /file\nCOPY other /other\n";

fn scene() -> Scene {
    let scene = Scene::new();
    scene.write("Dockerfile", DOCKERFILE);
    scene.write("file", "file");
    scene.write("other", "other");
    scene
}

#[test]
fn a_damaged_database_is_said_once_with_what_to_do() {
    let scene = scene();
    scene.built("Dockerfile", "file");
    let database = scene.path("store/howdah.db");
    // Its log is gone too, or its pages would mend it.
    drop(fs_err::remove_file(scene.path("store/howdah.db-wal")));
    fs_err::write(&database, "no database".repeat(1000)).unwrap();
    let output = scene.command(&["images"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert_eq!(told.lines().count(), 3, "{told}");
    assert!(told.contains("howdah.db` is damaged"), "{told}");
    assert_eq!(told.matches("not a database").count(), 1, "{told}");
    // What the hint says, word for word.
    let (_, commands) = told.split_once("mkdir ").unwrap();
    let (commands, _) = commands.split_once(';').unwrap();
    let mut shell = std::process::Command::new("sh");
    crate::succeeded(shell.arg("-euc").arg(format!("mkdir {commands}")));
    assert_eq!(scene.built("Dockerfile", "file"), "file");
    scene.run(&["cache", "prune", "--force"]);
}

#[test]
fn a_snapshot_that_is_gone_is_made_again() {
    let scene = scene();
    scene.built("Dockerfile", "file");
    for snapshot in fs_err::read_dir(scene.path("store/snapshots")).unwrap() {
        fs_err::remove_dir_all(snapshot.unwrap().path()).unwrap();
        assert_eq!(scene.built("Dockerfile", "file"), "file");
        assert_eq!(scene.built("Dockerfile", "other"), "other");
    }
}
