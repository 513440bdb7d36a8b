//! Orders of the versions of one problem: forced ones first, then a SAT solver that knows what a cycle is.

use super::acyclic::{Closed, Reason};
use super::local::{Choice, Local};
use super::shape::{Mark, Shape, Shaped};
use batsat::{Callbacks, Lit, Solver, SolverInterface, Theory, TheoryArg, Var, lbool};
use std::cell::Cell;
use std::rc::Rc;

/// What came of a problem.
#[derive(Debug)]
pub(super) enum Answer {
    /// An order of the transactions that all edges agree with: for each, a place.
    Order(Vec<u32>),
    /// There is none. The orders that were forced on the way: choice, the side that holds, and the cycle which the other
    /// side would close, as nodes.
    Impossible(Vec<Forced>),
    /// The steps were spent.
    Spent,
}

/// An order of two versions that another one would have contradicted.
#[derive(Clone, Debug)]
pub(super) struct Forced {
    pub(super) choice: usize,
    /// 0: the first version comes first; 1: the second one does.
    pub(super) side: usize,
    /// The cycle that the other side closes.
    pub(super) otherwise: Vec<u32>,
}

/// The reason of edges that hold in any case.
const KNOWN: Reason = Reason::MAX;

/// Adds the edges of one side of a choice, or says which cycle they would close.
fn take(graph: &mut Shaped, choice: &Choice, side: usize, reason: Reason) -> Result<(), Closed> {
    choice.edges[side].iter().try_for_each(|edge| graph.add(*edge, reason))
}

/// Finds an order, within so many steps. `steps` counts them.
pub(super) fn solve(problem: &Local, shape: Shape, steps_max: u64, steps: &mut u64) -> Answer {
    let mut graph = Shaped::new(shape, problem.nodes);
    for edge in &problem.known {
        if let Err(closed) = graph.add(*edge, KNOWN) {
            *steps += graph.steps();
            let otherwise = shape.cycle(&closed);
            return Answer::Impossible(vec![Forced { choice: usize::MAX, side: 0, otherwise }]);
        }
    }
    let mut open: Vec<usize> = (0..problem.choices.len()).collect();
    let mut forced: Vec<Forced> = Vec::new();
    loop {
        let before = open.len();
        let mut impossible = false;
        open.retain(|number| {
            if impossible || graph.steps() > steps_max {
                return true;
            }
            let choice = &problem.choices[*number];
            let mark = graph.mark();
            let sides = [0, 1].map(|side| {
                let result = take(&mut graph, choice, side, KNOWN);
                graph.truncate(mark);
                result.err()
            });
            for (side, closed) in sides.iter().enumerate() {
                if let Some(closed) = closed {
                    let otherwise = shape.cycle(closed);
                    forced.push(Forced { choice: *number, side: 1 - side, otherwise });
                }
            }
            match sides {
                [None, None] => return true,
                [Some(_), Some(_)] => impossible = true,
                [first, _] => {
                    let side = usize::from(first.is_some());
                    impossible |= take(&mut graph, choice, side, KNOWN).is_err();
                }
            }
            false
        });
        if impossible {
            *steps += graph.steps();
            return Answer::Impossible(forced);
        }
        if graph.steps() > steps_max {
            *steps += graph.steps();
            return Answer::Spent;
        }
        if open.len() == before {
            break;
        }
    }
    if open.is_empty() {
        *steps += graph.steps();
        Answer::Order(places(&graph, problem))
    } else {
        by_solver(problem, graph, &open, (steps_max, steps), forced)
    }
}

fn places(graph: &Shaped, problem: &Local) -> Vec<u32> {
    (0..problem.txns.len() as u32).map(|node| graph.place(node)).collect()
}

fn by_solver(
    problem: &Local,
    graph: Shaped,
    open: &[usize],
    (steps_max, spent): (u64, &mut u64),
    forced: Vec<Forced>,
) -> Answer {
    let steps = Rc::new(Cell::new(graph.steps()));
    let limit = Limit { steps: steps.clone(), steps_max };
    let mut solver: Solver<Limit> = Solver::new(batsat::SolverOpts::default(), limit);
    // A variable that is false is a choice whose first side holds: the solver tries this first.
    let vars: Vec<Var> = open.iter().map(|_| solver.new_var_default()).collect();
    let (levels, clause) = (Vec::new(), Vec::new());
    let mut theory = Cycles { problem, graph, open, vars, seen: 0, levels, clause, steps };
    let result = solver.solve_limited_preserving_trail_th(&mut theory, &[]);
    let answer = if result == lbool::TRUE {
        Answer::Order(places(&theory.graph, problem))
    } else if result == lbool::FALSE {
        Answer::Impossible(forced)
    } else {
        Answer::Spent
    };
    solver.pop_model(&mut theory);
    *spent += theory.steps.get();
    answer
}

/// Stops the solver once the steps are spent.
struct Limit {
    steps: Rc<Cell<u64>>,
    steps_max: u64,
}

impl Callbacks for Limit {
    fn stop(&self) -> bool {
        self.steps.get() > self.steps_max
    }
}

/// The theory: the edges of the choices made so far close no cycle.
struct Cycles<'p> {
    problem: &'p Local,
    graph: Shaped,
    /// The choice of each variable.
    open: &'p [usize],
    /// The variables: one for each open choice, numbered without gaps.
    vars: Vec<Var>,
    /// Literals of the trail whose edges were added.
    seen: usize,
    /// Trail and edges at each level.
    levels: Vec<(usize, Mark)>,
    clause: Vec<Lit>,
    steps: Rc<Cell<u64>>,
}

impl Cycles<'_> {
    fn check(&mut self, acts: &mut TheoryArg<'_>) {
        while let Some(literal) = acts.model().get(self.seen).copied() {
            let variable = (literal.var().idx() - self.vars[0].idx()) as usize;
            let choice = &self.problem.choices[self.open[variable]];
            let side = usize::from(literal.sign());
            let before = self.graph.steps();
            let result = take(&mut self.graph, choice, side, (variable * 2 + side) as Reason);
            self.steps.set(self.steps.get() + 1 + self.graph.steps() - before);
            if let Err(closed) = result {
                self.clause.clear();
                for (_, reason) in closed.iter().filter(|(_, reason)| *reason != KNOWN) {
                    self.clause.push(Lit::new(self.vars[*reason as usize / 2], reason % 2 == 0));
                }
                acts.raise_conflict(&self.clause, false);
                return;
            }
            self.seen += 1;
        }
    }
}

impl Theory for Cycles<'_> {
    fn final_check(&mut self, acts: &mut TheoryArg<'_>) {
        self.check(acts);
    }

    fn create_level(&mut self) {
        self.levels.push((self.seen, self.graph.mark()));
    }

    fn pop_levels(&mut self, n: usize) {
        let left = self.levels.len() - n;
        if let Some((seen, mark)) = self.levels.get(left).copied() {
            self.seen = seen;
            self.graph.truncate(mark);
            self.levels.truncate(left);
        }
    }

    fn n_levels(&self) -> usize {
        self.levels.len()
    }

    fn partial_check(&mut self, acts: &mut TheoryArg<'_>) {
        self.check(acts);
    }

    /// Nothing is propagated.
    fn explain_propagation(&mut self, _: Lit) -> &[Lit] {
        &[]
    }
}

/// Problems tried on the way to a smaller one, at most.
const TRIES_MAX: u32 = 400;

/// The transactions of an impossible problem without which it would be possible, as far as the steps reach; and the orders
/// that they force.
pub(super) fn minimise(problem: &Local, shape: Shape, steps_max: u64) -> (Local, Vec<Forced>) {
    let mut smallest = problem.clone();
    let mut forced = Vec::new();
    let mut left: Vec<u32> = (0..problem.txns.len() as u32).collect();
    let (mut steps, mut tries) = (0, 0);
    let mut size = left.len().div_ceil(2);
    while size > 0 {
        let mut first = 0;
        let mut smaller = false;
        while first < left.len() && tries < TRIES_MAX && steps < steps_max {
            let last = (first + size).min(left.len());
            let kept: Vec<u32> = left[..first].iter().chain(&left[last..]).copied().collect();
            let candidate = problem.only(&kept);
            tries += 1;
            match solve(&candidate, shape, steps_max, &mut steps) {
                Answer::Impossible(_) => (left, smallest, smaller) = (kept, candidate, true),
                _ => first = last,
            }
        }
        size = if size == 1 && !smaller { 0 } else { (size / 2).max(1) };
        if tries >= TRIES_MAX || steps >= steps_max {
            break;
        }
    }
    if let Answer::Impossible(of_smallest) = solve(&smallest, shape, steps_max, &mut steps) {
        forced = of_smallest;
    }
    smallest.txns = left.iter().map(|node| problem.txns[*node as usize]).collect();
    (smallest, forced)
}
