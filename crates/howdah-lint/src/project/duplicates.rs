//! The same stage in two Dockerfiles.

use howdah_dockerfile::Stage;

use super::rules::STAGE_WRITTEN_TWICE;
use super::{Recipe, Saying};

/// So many equal instructions behind equal bases are no accident.
const FEWEST: usize = 3;

/// Compares the Dockerfiles that are looked at with each other and with the others of the project.
pub(super) fn check(recipes: &[Recipe], others: &[Recipe], saying: &mut Saying) {
    for (index, recipe) in recipes.iter().enumerate() {
        let earlier = &recipes[..index];
        for stage in &recipe.file.stages {
            let twin = earlier.iter().chain(others).find_map(|other| {
                let twin = other.file.stages.iter().find(|twin| is_twin(stage, twin))?;
                Some((other, twin))
            });
            if let Some((other, twin)) = twin {
                let name = stage
                    .name
                    .as_ref()
                    .map_or("this stage", |name| name.text.as_str());
                let message = format!(
                    "`{name}` begins like a stage of {}:{}",
                    other.place.name, twin.lines.first
                );
                saying.say(
                    &recipe.place,
                    stage.lines.first,
                    &STAGE_WRITTEN_TWICE,
                    message,
                );
            }
        }
    }
}

fn is_twin(left: &Stage, right: &Stage) -> bool {
    let pairs = left.instructions.iter().zip(&right.instructions);
    let equal = pairs.take_while(|(left, right)| words(&left.original).eq(words(&right.original)));
    left.base.text == right.base.text && equal.count() >= FEWEST
}

/// White space does not count.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
}
