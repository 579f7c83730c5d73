//! `kill -9` at any instant of what removes: prunes and the sweeps behind them.

use std::process::Stdio;
use std::time::Instant;

use crate::{Scene, spread};

const ROUNDS: u32 = 40;

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the kill must come at an instant that no event of the prune names"
)]
fn a_prune_killed_at_any_instant_leaves_a_whole_store() {
    let scene = Scene::new();
    let lines: Vec<String> = (0..12).map(|n| format!("COPY f{n} /f{n}\n")).collect();
    scene.write("Dockerfile", &format!("FROM scratch\n{}", lines.concat()));
    let write = |round: u32| {
        for number in 0..12 {
            scene.write(&format!("f{number}"), &format!("{round} {number}"));
        }
    };
    let prunes: [&[&str]; 3] = [
        &["cache", "prune", "--all", "--force"],
        &["image", "prune", "--all", "--force"],
        &["cache", "prune", "--force", "--max-used-space", "2k"],
    ];
    write(0);
    scene.run(&["build", "-t", "kept", "."]);
    let start = Instant::now();
    scene.run(prunes[0]);
    let whole = start.elapsed();
    for round in 0..ROUNDS {
        write(round);
        scene.run(&["build", "-t", "kept", "."]);
        // Without a name from the next build on.
        let mut prune = scene
            .command(prunes[round as usize % prunes.len()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(whole.mul_f64(spread(round)));
        prune.kill().unwrap();
        prune.wait().unwrap();
        // What is listed is whole, and what is built is right.
        let listed = scene.command(&["images", "--quiet"]).output().unwrap();
        for id in String::from_utf8(listed.stdout).unwrap().lines() {
            scene.run(&[
                "image",
                "save",
                id,
                "-o",
                scene.path("saved").to_str().unwrap(),
            ]);
        }
        assert_eq!(scene.built("Dockerfile", "f7"), format!("{round} 7"));
    }
    scene.run(prunes[1]);
    scene.run(prunes[0]);
    assert_eq!(
        fs_err::read_dir(scene.path("store/snapshots"))
            .unwrap()
            .count(),
        0
    );
    assert_eq!(scene.leftovers(), Vec::<String>::new());
}
