//! A store on a small disk: what does not fit fails clearly, harms nothing, and is made once there is room.

use std::process::Command;

use crate::server::Server;
use crate::{Scene, succeeded};

/// In a mount namespace of its own, so that nothing stays mounted whatever happens: `$STORE` has little room.
const SMALL: &str = r#"
mount -t tmpfs -o size=24m,mode=700 tmpfs "$STORE"
fails() {
    if "$@" > "$OUT" 2>&1; then echo "must fail: $*"; cat "$OUT"; exit 1; fi
    grep -q "$EXPECTED" "$OUT" || { echo "not said by $*: $EXPECTED"; cat "$OUT"; exit 1; }
}
works() { "$@" > "$OUT" 2>&1 || { echo "failed: $*"; cat "$OUT"; exit 1; }; }
room() { mount -o remount,size=200m "$STORE"; }
"#;

/// Runs a script on the scene's small store. `expected` is a part of what failures say.
fn on_small_disk(scene: &Scene, expected: &str, script: &str) {
    for directory in ["store", "cache"] {
        fs_err::create_dir_all(scene.path(directory)).unwrap();
    }
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "bash", "-euc"])
        .arg(format!("{SMALL}{script}"))
        .current_dir(scene.path("context"))
        .env("HOWDAH", env!("CARGO_BIN_EXE_howdah"))
        .env("HOWDAH_ROOT", scene.path("store"))
        .env("STORE", scene.path("store"))
        .env("CACHE", scene.path("cache"))
        .env("RESULT", scene.path("result"))
        .env("OUT", scene.path("out"))
        .env("EXPECTED", expected);
    succeeded(&mut command);
}

fn scene_with(dockerfile: &str) -> Scene {
    let scene = Scene::new();
    scene.write("Dockerfile", dockerfile);
    // What does not compress.
    let noise: Vec<u8> = (0..32_u32 << 18)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    fs_err::write(scene.path("context/large"), noise).unwrap();
    scene
}

#[test]
fn a_copy_that_does_not_fit() {
    let scene = scene_with("FROM scratch\nCOPY large /large\n");
    on_small_disk(
        &scene,
        "hint.*make room",
        r#"
        fails "$HOWDAH" build .
        test -z "$(ls "$STORE/tmp" "$STORE/snapshots" | grep -v ':$' | tr -d '\n')"
        works "$HOWDAH" images
        room
        works "$HOWDAH" build -o "$RESULT" .
        cmp large "$RESULT/large"
        "#,
    );
}

#[test]
fn a_step_that_writes_too_much() {
    let scene = scene_with(
        "FROM scratch\nCOPY busybox /bin/sh\nRUN echo made > /made && cat /dev/zero > /much\n",
    );
    scene.write(
        "Dockerfile.fits",
        "FROM scratch\nCOPY busybox /bin/sh\nRUN echo made > /made\n",
    );
    on_small_disk(
        &scene,
        "No space left on device",
        r#"
        fails "$HOWDAH" build --network none .
        works "$HOWDAH" build --network none -f Dockerfile.fits -o "$RESULT" .
        test "$(cat "$RESULT/made")" = made
        "#,
    );
}

#[test]
fn an_export_that_does_not_fit() {
    let scene = scene_with("FROM scratch\nCOPY large /large\n");
    on_small_disk(
        &scene,
        "cannot write the cache.*No space left on device",
        r#"
        # The cache has little room here, the store enough.
        export HOWDAH_ROOT="$CACHE"
        works "$HOWDAH" build --cache-to "type=local,dest=$STORE/cache" .
        grep -q "$EXPECTED" "$OUT"
        EXPECTED="hint.*make room"
        fails "$HOWDAH" cache export "type=local,dest=$STORE/cache"
        room
        works "$HOWDAH" cache export "type=local,dest=$STORE/cache"
        export HOWDAH_ROOT="$CACHE/other"
        works "$HOWDAH" build --cache-from "type=local,src=$STORE/cache" .
        grep -q "1 steps cached, 0 executed" "$OUT"
        "#,
    );
}

#[test]
fn a_pull_that_does_not_fit() {
    let scene = scene_with("FROM scratch\nCOPY large /large\n");
    let server = Server::start("");
    let name = server.reference("large:1").to_string();
    on_small_disk(
        &scene,
        "hint.*make room",
        &r#"
        # What is pushed is made where there is room.
        works env HOWDAH_ROOT="$CACHE" "$HOWDAH" build -t NAME .
        works env HOWDAH_ROOT="$CACHE" "$HOWDAH" push NAME
        fails "$HOWDAH" pull NAME
        test -z "$(ls "$STORE/snapshots")"
        works "$HOWDAH" images
        room
        works "$HOWDAH" pull NAME
        echo "FROM NAME" | works "$HOWDAH" build -f - -o "$RESULT" .
        cmp large "$RESULT/large"
        "#
        .replace("NAME", &name),
    );
}

#[test]
fn a_database_that_cannot_grow() {
    let scene = scene_with("FROM scratch\nCOPY small /small\n");
    scene.write("small", "small\n");
    on_small_disk(
        &scene,
        "no space is left on the disk of",
        r#"
        works "$HOWDAH" build .
        echo changed > small
        # Everything that is left, to the last byte.
        cat /dev/zero > "$STORE/filler" 2> /dev/null || true
        fails "$HOWDAH" build -t small .
        rm "$STORE/filler"
        works "$HOWDAH" build -t small -o "$RESULT" .
        test "$(cat "$RESULT/small")" = changed
        works "$HOWDAH" image inspect small
        "#,
    );
}

#[test]
fn a_full_disk_can_be_emptied() {
    let scene = scene_with("FROM scratch\nCOPY busybox /busybox\n");
    on_small_disk(
        &scene,
        "",
        r#"
        works "$HOWDAH" build .
        cat /dev/zero > "$STORE/filler" 2> /dev/null || true
        works "$HOWDAH" image prune --all --force
        works "$HOWDAH" cache prune --all --force
        test -z "$(ls "$STORE/snapshots")"
        "#,
    );
}
