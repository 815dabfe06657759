"""What evaluations and approvals promise, sentence by sentence, and the tests that hold each: see ``PROMISES``."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

EVAL_CLI = "sample_agent/evals/test_eval_cli.py"
INSTRUCTIONS = "sample_agent/test_instructions.py"
CHECKS = "exporter/evals/test_eval_checks.py"
COMPARISON = "exporter/evals/test_eval_comparison.py"
WHO_MAY = "sample_agent/autonomy/test_who_may.py"
EFFECTS = "exporter/autonomy/test_effects.py"
STANDING = "exporter/autonomy/test_standing.py"
SHADOW = "exporter/autonomy/test_shadow.py"

PROMISES: dict[str, tuple[str, ...]] = {
    "A prompt that nobody could want, with tools that say never to call them, fails without an API key as well.": (
        f"{EVAL_CLI}::test_a_prompt_that_nobody_could_want_fails_most_of_the_suite",
        f"{INSTRUCTIONS}::test_a_tool_whose_description_forbids_it_is_not_called",
    ),
    "The played model reads what prompts demand in the words that people use, and lists what it cannot read.": (
        f"{INSTRUCTIONS}::test_what_is_demanded_is_read",
        f"{INSTRUCTIONS}::test_the_prompt_may_forbid_all_tools_or_one",
        f"{EVAL_CLI}::test_the_report_lists_what_the_played_model_did_not_read",
    ),
    "A result says that its answers were played, and a deploy gate does not take them for a pass of the prompts.": (
        f"{EVAL_CLI}::test_played_answers_are_not_a_pass_of_the_prompts",
    ),
    "A tool of the expected sequence that was not called fails the scenario.": (
        f"{CHECKS}::test_a_sequence_is_all_of_its_tools_in_this_order_with_others_in_between",
        "exporter/evals/test_eval_check_properties.py::test_one_demand_missed_fails_whatever_stands_beside_it",
    ),
    "Five of five that become three of five on every scenario are worse.": (
        f"{COMPARISON}::test_five_of_five_to_three_of_five_everywhere_is_worse",
    ),
    "Ten times the cost is worse.": (f"{COMPARISON}::test_ten_times_the_cost_is_worse_however_well_it_passes",),
    "A scenario that passes on the version that was rejected is not exported.": (
        "sample_agent/feedback/test_export.py::test_a_scenario_that_passes_on_what_was_rejected_is_left_out_and_said",
    ),
    "An experiment on the shared ledger never becomes the current version, and pages nobody.": (
        "exporter/test_evals.py::test_a_candidate_moves_no_gauge_and_no_counter",
        "exporter/test_evals.py::test_a_candidate_is_compared_with_the_live_version",
    ),
    "Who approves an e-mail sees its recipient and its text, not the number of a draft.": (
        f"{EFFECTS}::test_people_are_shown_the_email_and_not_its_number",
        f"{WHO_MAY}::test_the_email_behind_a_number_is_shown_and_approved_as_shown",
    ),
    "Who reaches the port lists no session and decides nothing.": (
        f"{WHO_MAY}::test_who_reaches_the_port_lists_no_session_and_decides_nothing",
    ),
    "A decision is recorded under the name of who made it.": (
        f"{WHO_MAY}::test_a_decision_is_recorded_under_the_name_that_the_token_has",
    ),
    "Nobody approves their own call of high risk.": (
        f"{WHO_MAY}::test_nobody_approves_their_own_call_of_high_risk",
        "exporter/autonomy/test_approvals.py::test_nobody_approves_their_own_call_of_high_risk",
    ),
    "A hundred approvals of one's own calls promote nothing.": (
        f"{STANDING}::test_a_hundred_approvals_of_ones_own_calls_promote_nothing",
    ),
    "A suggestion is compared with what a person did as the system of record has it, not as they say.": (
        f"{SHADOW}::test_whole_effects_are_compared_and_what_differs_is_classed",
        f"{SHADOW}::test_nobody_says_by_hand_what_is_read_in_the_system_of_record",
    ),
    "Work of several steps is shadowed to its end, by the demo as well.": (
        "exporter/autonomy/test_supervisor.py::test_work_of_several_steps_is_shadowed_with_simulated_outcomes",
        "sample_agent/autonomy/test_waiting.py::test_a_draft_and_its_sending_are_both_shadowed",
    ),
    "Nobody reads a suggestion before what a person did is known.": (
        f"{SHADOW}::test_nobody_reads_a_suggestion_before_it_was_compared",
    ),
    "What somebody changed in the ledger after a decision is named.": (
        "exporter/autonomy/test_decisions.py::test_what_was_changed_or_taken_out_is_named",
    ),
    "An approved action is carried out once, whichever of the replicas on a PostgreSQL goes for it.": (
        "exporter/autonomy/test_replicas.py::test_replicas_that_go_for_the_same_approved_actions_carry_out_each_once",
        "exporter/test_actions.py::test_of_many_approved_actions_each_is_started_by_one_caller_once",
    ),
    "Every route says who may call it, and refuses the others.": (
        "test_routes.py::test_every_route_has_a_rule",
        "test_routes.py::test_whom_a_rule_does_not_name_is_refused",
        "test_routes.py::test_who_is_logged_in_and_has_not_the_role_does_not_decide",
    ),
    "The live demo, its made-up past, the simulated day and the thresholds speak of one floor.": (
        "sample_agent/test_workload.py::test_the_reasons_of_the_thresholds_speak_of_this_floor",
        "sample_agent/test_workload.py::test_reps_begin_as_many_conversations_an_hour_as_the_workload_says",
        "sample_agent/test_workload.py::test_the_made_up_past_is_as_busy_as_the_live_floor",
        "sample_agent/test_floor.py::test_one_seed_is_one_floor_whoever_is_answered_sooner",
    ),
    "What a person did is compared with one suggestion, also where two replicas look at once.": (
        f"{SHADOW}::test_what_a_person_did_is_compared_with_one_suggestion",
        f"{SHADOW}::test_what_another_replica_has_compared_meanwhile_is_not_compared_again",
    ),
}


@cache
def named_tests(file: str) -> set[str]:
    """The names of the tests of a file."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_is_held_by_tests_that_exist(promise: str) -> None:
    """Whoever renames or deletes one says here what holds the promise instead."""
    for name in PROMISES[promise]:
        file, _, test = name.partition("::")
        assert test in named_tests(file), name
