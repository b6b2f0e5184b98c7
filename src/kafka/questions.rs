//! Requests name many partitions, some of which the door refuses itself. What remains is asked of
//! the broker at once, and its answers are put back in their places.

use broker::BrokerError;
use kafka_protocol::ResponseError;

use crate::errors::Refusal;

/// The questions for the broker, and the places that were refused.
#[derive(Debug)]
pub struct Questions<Q> {
    asked: Vec<Q>,
    places: Vec<Option<Refusal>>,
}

impl<Q> Questions<Q> {
    /// None yet.
    pub fn new() -> Questions<Q> {
        Questions { asked: Vec::new(), places: Vec::new() }
    }

    /// Takes the next place: a question, or why it is not asked.
    pub fn push(&mut self, question: Result<Q, Refusal>) {
        match question {
            Ok(question) => {
                self.asked.push(question);
                self.places.push(None);
            }
            Err(refusal) => self.places.push(Some(refusal)),
        }
    }

    /// Whether the door refused any itself.
    pub fn any_refused(&self) -> bool {
        self.places.iter().any(Option::is_some)
    }

    /// What to ask, and where the answers go.
    pub fn split(self) -> (Vec<Q>, Places) {
        (self.asked, Places(self.places))
    }
}

/// Where the answers go.
#[derive(Debug)]
pub struct Places(Vec<Option<Refusal>>);

impl Places {
    /// Every place's answer, in the order in which the places were taken.
    pub fn fill<A, E: Into<Refusal>>(self, answers: Vec<Result<A, E>>) -> Answers<A, E> {
        Answers { places: self.0.into_iter(), answers: answers.into_iter() }
    }
}

/// Answers in the order of the places.
#[derive(Debug)]
pub struct Answers<A, E = BrokerError> {
    places: std::vec::IntoIter<Option<Refusal>>,
    answers: std::vec::IntoIter<Result<A, E>>,
}

impl<A, E: Into<Refusal>> Answers<A, E> {
    /// The next place's answer.
    pub fn take(&mut self) -> Result<A, Refusal> {
        let missing =
            || Refusal::new(ResponseError::UnknownServerError, "The broker gave no answer.");
        match self.places.next() {
            Some(Some(refusal)) => Err(refusal),
            Some(None) => {
                self.answers.next().map_or_else(|| Err(missing()), |a| a.map_err(Into::into))
            }
            None => Err(missing()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_go_back_to_the_places_of_their_questions() {
        let refusal = Refusal::invalid_request("no");
        let mut questions = Questions::new();
        questions.push(Ok("a"));
        questions.push(Err(refusal.clone()));
        questions.push(Ok("b"));
        let (asked, places) = questions.split();
        assert_eq!(asked, ["a", "b"]);
        let mut answers = places.fill(vec![Ok(1), Err::<i32, _>(BrokerError::UnknownTopicId)]);
        assert_eq!(answers.take(), Ok(1));
        assert_eq!(answers.take(), Err(refusal));
        assert_eq!(answers.take().map_err(|r| r.code), Err(100));
    }
}
