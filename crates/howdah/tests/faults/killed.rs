//! `kill -9` at any instant of a build.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::{Scene, spread};

const KILLS: u32 = 200;

const DOCKERFILE: &str = r#"
FROM scratch AS base
COPY busybox /bin/sh
FROM base AS one
COPY src /src
RUN echo "one of $(cat /src/round)" > /one
FROM base AS two
COPY src/round /round
RUN --mount=type=cache,target=/cache echo line >> /cache/lines && echo "two of $(cat /round)" > /two
FROM base
COPY --from=one /one /src /all/
COPY --from=two /two /all/
RUN cat /all/one /all/two /all/round > /result
"#;

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the kill must come at an instant that no event of the build names"
)]
fn a_build_killed_at_any_instant_leaves_a_whole_store() {
    let scene = Scene::new();
    scene.write("Dockerfile", DOCKERFILE);
    for number in 0..50 {
        scene.write(&format!("src/{number}"), &"x".repeat(number * 100));
    }
    let write_round = |round: &str| scene.write("src/round", &format!("{round}\n"));
    write_round("start");
    let start = Instant::now();
    scene.built("Dockerfile", "result");
    let whole = start.elapsed();
    let mut killed = 0;
    for round in 0..KILLS {
        write_round(&format!("killed {round}"));
        let mut build = scene
            .command(&["build", "--quiet", "."])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(whole.mul_f64(spread(round)));
        build.kill().unwrap();
        killed += u32::from(!build.wait().unwrap().success());
        // The same content half of the time: what the dead build left half done must not be taken for done.
        if round % 2 == 0 {
            write_round(&format!("next {round}"));
        }
        let expected = fs_err::read_to_string(scene.path("context/src/round")).unwrap();
        let result = scene.built("Dockerfile", "result");
        assert_eq!(
            result,
            format!("one of {expected}two of {expected}{expected}"),
            "after kill {round}"
        );
    }
    assert!(
        killed > KILLS / 4,
        "only {killed} builds were still running"
    );
    assert_eq!(scene.leftovers(), Vec::<String>::new());
    let deadline = Instant::now() + Duration::from_secs(10);
    while crate::is_in_use(&scene.path("store")) {
        assert!(
            Instant::now() < deadline,
            "a process of a killed build runs on"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}
