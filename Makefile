# The verbs of the project; CI runs the same ones. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# Who keeps no bytecode compiles Reflex anew for each of the hundred servers that the tests start.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Serving needs a third of what the tests need; who has all of it needs no more.
SERVES := $(or $(wildcard $(STAMP)),$(VENV)/.serves)
UP := $(or $(wildcard $(STAMP)),$(VENV)/.up)
DEMO := $(or $(wildcard $(STAMP)),$(VENV)/.demo)
SIM := $(or $(wildcard $(STAMP)),$(VENV)/.sim)
GOLDEN ?= tests/golden
LEROBOT ?= .lerobot
RERUN ?= .rerun
TRAINED ?= .train-default
CHECKPOINT ?= $(TRAINED)/averaged
LEROBOT_PYTHON ?= python3.12
WORKERS ?= 4
# Of `make endurance`, whose longest runs they are; CI, which has an hour for everything, makes fewer.
REQUESTS ?= 10000
ENDURING_WORKERS ?= 2
EPISODES ?= 10000
CONTROL_KILLS ?= 100
ENDURING := $(addprefix tests/,chaos/test_two_policies.py chaos/test_rolling_upgrade.py chaos/test_soak.py \
  chaos/test_slo.py chaos/test_stop.py chaos/streams/test_streams.py chaos/streams/test_streams_over_a_bad_link.py \
  chaos/test_recording_faults.py integration/test_replay.py fuzz/test_bodies.py fuzz/test_images.py \
  chaos/test_control_kill.py chaos/test_control_outage.py contract/test_control_claims.py contract/test_sessions.py contract/streams/test_openpi.py \
  docs/test_fresh_install.py docs/test_runner_install.py integration/test_export_interrupted.py integration/test_engines.py integration/test_shared_engines.py \
  integration/test_engine_interruptions.py chaos/test_publish_kill.py unit/reflex_export/reading/test_any_json.py \
  integration/motion/test_prefix_cache.py)
# What is marked slow, but for what the targets of these run.
RUN_ELSEWHERE := $(ENDURING) tests/helm tests/observability tests/browser tests/compose

.PHONY: help install serve up sim demo train-default test busy-runs promises endurance snapshots check fmt bench bench-control bench-export bench-fleet bench-rollout expert-bench example-request demo-policy fuzz chaos soak whole-runs recording-kills runner-kills guard-properties runner-histories mutants parity-table compose-test helm-test lerobot-test rerun-test observability-test dashboard-test clean bench-datasets gpu-check gpu-pack diagnose-table training-kills lerobot-training-test runner-install runner-hour served-equals-in-process

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

install: $(STAMP) ## a virtual environment in .venv with everything, dev tools too

$(STAMP): WANTED := .[dev]
$(VENV)/.serves: WANTED := .[serve,embedded]
$(VENV)/.up: WANTED := .[serve,embedded,control]
$(VENV)/.demo: WANTED := .[serve,embedded,runner,sim]
$(VENV)/.sim: WANTED := .[runner,sim,datasets]
$(STAMP) $(VENV)/.serves $(VENV)/.up $(VENV)/.demo $(VENV)/.sim: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Reflex needs Python 3.11 or newer: make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	@echo "installing $(WANTED) into $(VENV), this once" >&2
	@$(PYTHON) tools/install.py "$(VENV)" "$(WANTED)"
	@touch $@

# The trained policy, where neither ARGS nor a variable of `reflex serve` says what is served. An sdist has none.
SAID := $(filter --policy% --model-repository% --triton%,$(ARGS))$(REFLEX_POLICY)$(REFLEX_POLICY_A)$(REFLEX_POLICY_B)$(REFLEX_MODEL_REPOSITORY)$(REFLEX_TRITON)
SERVED := $(if $(SAID),,$(wildcard model_repository/pick_up_the_cube))

serve: $(SERVES) ## serve the policy that was trained here on http://127.0.0.1:8000 (ARGS='--port 9000', ARGS='--policy demo')
	"$(BIN)/reflex" serve$(addprefix $() --policy ,$(notdir $(SERVED))) $(ARGS)

up: $(UP) ## server, control plane and demo together on this machine (ARGS='--no-sessions')
	"$(BIN)/reflex" up $(ARGS)

sim: $(SIM) ## a simulated arm picks a cube up, on a page in your browser (ARGS='--config examples/sim.yaml': led by a server)
	"$(BIN)/reflex" connect --config examples/expert.yaml --view $(ARGS)

demo: $(DEMO) ## a policy that was trained here picks cubes up in the simulator: server, runner, page in your browser (ARGS='--seed 10042')
	"$(BIN)/reflex" demo run $(ARGS)

train-default: $(STAMP) ## that policy again from nothing: demonstrations, LeRobot's trainer, export, parity, 200 held-out seeds (LEROBOT=FOLDER for its 6 GB; half an hour on two cores; run again, it goes on)
	$(BIN)/python -m reflex_learning.default_policy --folder $(TRAINED) --repository model_repository --lerobot $(LEROBOT) $(ARGS)

test: $(STAMP) ## the tests of every module, of the contract and the documents: no GPU, no container, no root, five minutes (ARGS='-k guard')
	$(BIN)/python -m pytest -m 'not timing and not slow' --numprocesses $(WORKERS) $(ARGS)

busy-runs: $(STAMP) ## ten runs of `make test` beside four programs that only count, each in another order (two hours; ARGS='--runs 2 --busy 8')
	PYTHONPATH=tests $(BIN)/python -m busy_runs $(ARGS)

promises: $(STAMP) ## every promise with a time in it, measured one after the other: a table (ARGS='--promises-json=FILE')
	$(BIN)/python -m pytest -m timing -p no:randomly -p no:xdist --ignore=tests/chaos/runner/test_faults.py $(ARGS)

snapshots: $(STAMP) ## write down anew what users see: help, examples, HTTP contract (tests/snapshots/)
	REFLEX_WRITE_SNAPSHOTS=1 $(BIN)/python -m pytest -q tests/docs/test_snapshots.py tests/docs/test_changelog.py tests/unit/reflex_runner/config/test_schema.py

check: $(STAMP) ## formatting, lint, types, import law, house rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/house_rules.py

fmt: $(STAMP) ## format, and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## /act against Triton called directly: a table, and JSON in bench/results/
	$(BIN)/python -m reflex_bench $(ARGS)

bench-export: $(STAMP) ## full-size export beside a file copy, and a full-size /act (35 GB in TMPDIR)
	$(BIN)/python -m reflex_bench.exporting.export_bench $(GOLDEN) $(ARGS)

bench-rollout: $(STAMP) ## what recording, shadow, keys, sessions and tracing cost /act, measured in turns (ARGS='--rounds 1000')
	$(BIN)/python -m reflex_bench.rollout_bench $(ARGS)

bench-fleet: $(STAMP) ## how many robots one GPU serves with 98 % of their deadlines kept, with measured times in place of a GPU: a table (three minutes; ARGS='--model smolvla', ARGS='--quick')
	$(BIN)/python -m reflex_bench.fleet $(ARGS)

bench-control: $(STAMP) ## a thousand robots' heartbeats at one control plane for ten minutes: a table (ARGS='--seconds 60')
	$(BIN)/python -m reflex_bench.control_bench $(ARGS)

bench-datasets: $(STAMP) ## how fast a dataset of 100,000 frames is validated, and in how much memory (minutes)
	$(BIN)/python -m reflex_bench.dataset_bench $(ARGS)

gpu-check: $(STAMP) ## what the card of this machine makes of the policies: parity, ms per chunk beside the bound, /act (eight minutes at most; ARGS=--small: on the processor)
	$(BIN)/python -m reflex_bench.gpu_check $(ARGS)

gpu-pack: $(STAMP) ## that for a machine without network: build/gpu-pack with the packages and run.py (ARGS='--python 3.12 --for cuda')
	$(BIN)/python -m reflex_bench.gpu_check.packing $(ARGS)

diagnose-table: $(STAMP) ## what `reflex diagnose` says of every seeded fault and healthy set-up: a table (minutes; ARGS='--policy pick_up_the_cube --served')
	PYTHONPATH=tests $(BIN)/python -m support.diagnosis.table $(ARGS)

expert-bench: $(STAMP) ## how often the simulator's scripted expert picks the cube up: a table (half a minute; ARGS='--seeds 1000')
	$(BIN)/python -m reflex_bench.expert_bench $(ARGS)

example-request: $(STAMP) ## make examples/act.json and its picture again, as the simulator's cameras see them
	$(BIN)/python tools/example_request.py examples

demo-policy: $(STAMP) ## make export/demo_checkpoint and the policies of model_repository/ again, from the seed
	$(BIN)/python -m reflex_export.commands.demo export/demo_checkpoint --repository model_repository

fuzz: $(STAMP) ## long fuzzing: 500,000 bodies, 200,000 images (hours)
	REFLEX_FUZZ_BODIES=500000 REFLEX_FUZZ_IMAGES=200000 REFLEX_SCHEMATHESIS_EXAMPLES=2000 REFLEX_CONTROL_SCHEMATHESIS_EXAMPLES=2000 \
	  $(BIN)/python -m pytest -m 'not timing' tests/fuzz --timeout 0 $(ARGS)

endurance: $(STAMP) ## what `make test` does in small, with as many requests as the documents tell of (minutes)
	REFLEX_CHAOS_REQUESTS=$(REQUESTS) REFLEX_CHAOS_RECORDING_KILLS=5 REFLEX_REPLAY_REQUESTS=1000 REFLEX_INTERRUPTED_EXPORT=smolvla \
	REFLEX_FUZZ_BODIES=10000 REFLEX_FUZZ_IMAGES=2000 REFLEX_CHAOS_CONTROL_KILLS=$(CONTROL_KILLS) REFLEX_CHAOS_CLAIMS=20 \
	REFLEX_CHAOS_PUBLISH_KILLS=50 REFLEX_STRANGE_EVERY=3 \
	REFLEX_CHAOS_AWAY_S=60 REFLEX_FORGED_CREDENTIALS=10000 REFLEX_WHOLE_ENGINES=1 \
	REFLEX_STREAM_OBSERVATIONS=1000 REFLEX_OPENPI_REQUESTS=1000 REFLEX_OPENPI_FRAMES=5000 REFLEX_PREFIX_EPISODES=$(EPISODES) \
	  $(BIN)/python -m pytest -m 'not timing' $(ENDURING) --timeout 600 --numprocesses $(ENDURING_WORKERS) $(ARGS)

whole-runs: $(STAMP) ## what is too long for `make test`: whole guides, faults, engines, every way to stop (ten minutes)
	REFLEX_SCHEMATHESIS_EXAMPLES=50 $(BIN)/python -m pytest -m 'slow and not timing' --numprocesses $(WORKERS) \
	  $(addprefix --ignore=,$(RUN_ELSEWHERE)) $(ARGS)

chaos: $(STAMP) ## long fault runs: 1,000 kills, 100 stops (hours)
	REFLEX_CHAOS_KILLS=1000 REFLEX_CHAOS_STOPS=100 REFLEX_CHAOS_PUBLISH_KILLS=5000 \
	REFLEX_CHAOS_RECORDING_KILLS=500 REFLEX_CHAOS_RUNNER_KILLS=200 REFLEX_CHAOS_STACK_RUNS=25 REFLEX_EVERY_FAULT=1 REFLEX_CHAOS_REQUESTS=200000 REFLEX_CHAOS_CONTROL_KILLS=500 REFLEX_CHAOS_AWAY_S=100 \
	  $(BIN)/python -m pytest -m 'not timing' tests/chaos --timeout 0 $(ARGS)
	PYTHONPATH=tests $(BIN)/python -m support.kills.campaign

runner-kills: $(STAMP) ## 250 runs of a robot struck at random instants by every fault: worst time and bound of each (an hour at most; ARGS='--only frozen')
	PYTHONPATH=tests $(BIN)/python -m support.kills.campaign $(ARGS)

soak: $(STAMP) ## 100,000 requests: memory, descriptors and threads must stay flat (minutes)
	$(BIN)/python -m reflex_bench.soak $(ARGS)

runner-hour: $(STAMP) ## an hour of a robot's run at 50 Hz, eight times as fast: memory, descriptors and threads must stay flat (eight minutes)
	$(BIN)/python -m reflex_bench.runs.hour $(ARGS)

runner-install: $(STAMP) ## what a robot's computer installs: wheels alone, for x86-64 and aarch64, at most 150 MB (asks the package index; a minute)
	$(BIN)/python -m pytest tests/docs/test_runner_install.py -p no:randomly -s --timeout 600 $(ARGS)

recording-kills: $(STAMP) ## runs killed at 300 random instants while they record: at most the open episode is lost (ten minutes)
	REFLEX_RECORDING_KILLS=300 $(BIN)/python -m pytest tests/unit/reflex_runner/recording/repair --timeout 0 $(ARGS)

training-kills: $(STAMP) ## trainers, workers and the control plane killed at 30 random instants: a table of what became of the runs (five minutes; ARGS='--kills 3 --seed 7')
	PYTHONPATH=tests $(BIN)/python -m support.trainer.kills.campaign $(ARGS)

guard-properties: $(STAMP) ## two million random chunks through ActionGuard
	REFLEX_GUARD_EXAMPLES=2000000 $(BIN)/python -m pytest tests/unit/reflex/test_guard.py --timeout 0 $(ARGS)

runner-histories: $(STAMP) ## 20,000 random histories of a run of `reflex connect`, on a clock of their own (minutes)
	REFLEX_RUNNER_HISTORIES=20000 $(BIN)/python -m pytest tests/unit/reflex_runner/loop/test_histories.py --timeout 0 $(ARGS)

mutants: $(STAMP) ## small faults planted into what guards robots and promises; tests must notice each (ARGS='--module breaker')
	PYTHONPATH=tests $(BIN)/python -m mutants $(ARGS)

parity-table: $(STAMP) ## the tables of docs/parity.md, measured again (GOLDEN=FOLDER for cases of your own)
	$(BIN)/python -m reflex_bench.parity_table $(GOLDEN)

helm-test: $(STAMP) ## the chart: lint, every pair of values against Kubernetes' schemas, its commands for real (ARGS='-k engines')
	@$(BIN)/python -c 'import helm_python, kubernetes_validate' 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,helm-test]'
	$(BIN)/python -m pytest -m 'not timing' tests/helm --numprocesses $(WORKERS) $(ARGS)

# In the order of the files: they share one stack, whose end is tested last.
compose-test: $(STAMP) ## images, compose.yaml and the chart's Job on a real Docker engine, installed if need be (root; minutes)
	@$(BIN)/python -c 'import helm_python' 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,helm-test]'
	REFLEX_COMPOSE_TESTS=1 $(BIN)/python -m pytest tests/compose -p no:randomly --timeout 900 -s $(ARGS)

# What LeRobot 0.6 needs fits neither our Python nor our numpy, and is 6 GB: its environment is its own, and stays.
lerobot-test: $(STAMP) ## stock LeRobot 0.6 drives its robots and simulations through a server, and the servos of an SO-101 (LEROBOT=FOLDER for its 6 GB; eight minutes, and once as many to install)
	@test -x $(LEROBOT)/bin/lerobot-rollout \
	  || { echo 'installing LeRobot into $(LEROBOT), this once' >&2 && $(LEROBOT_PYTHON) -m venv $(LEROBOT) \
	    && $(LEROBOT)/bin/python -m pip install --quiet --disable-pip-version-check 'lerobot[dataset,evaluation,feetech,smolvla]==0.6.1'; }
	@$(LEROBOT)/bin/python -c 'import scservo_sdk' 2>/dev/null \
	  || $(LEROBOT)/bin/python -m pip install --quiet --disable-pip-version-check 'lerobot[feetech]==0.6.1'
	$(LEROBOT)/bin/python -m pip install --quiet --disable-pip-version-check . ./integrations/lerobot_policy_reflex
	STOCK_LEROBOT_PYTHON=$(abspath $(LEROBOT))/bin/python $(BIN)/python -m pytest -m 'not timing' tests/stock_lerobot -p no:randomly -s --timeout 900 $(ARGS)

lerobot-training-test: $(STAMP) ## LeRobot's own trainer under our worker: trained, resumed, exported, a LoRA adapter merged, and as the stub trainer says (LEROBOT=FOLDER for its 6 GB; ten minutes)
	@$(LEROBOT)/bin/python -c 'import accelerate, datasets, peft, transformers' 2>/dev/null \
	  || { echo 'installing LeRobot into $(LEROBOT), this once' >&2 && { test -x $(LEROBOT)/bin/python || $(LEROBOT_PYTHON) -m venv $(LEROBOT); } \
	    && $(LEROBOT)/bin/python -m pip install --quiet --disable-pip-version-check 'lerobot[training,smolvla,peft]==0.6.1'; }
	STOCK_LEROBOT_PYTHON=$(abspath $(LEROBOT))/bin/python $(BIN)/python -m pytest tests/stock_lerobot/test_training.py tests/stock_lerobot/test_lora.py -p no:randomly -s --timeout 1800 $(ARGS)

served-equals-in-process: $(STAMP) ## the served policy and its checkpoint in LeRobot's own process on the same 200 seeds, JPEG and raw pictures: a table (LEROBOT=FOLDER, CHECKPOINT=FOLDER; three quarters of an hour; run again, it goes on)
	$(BIN)/python -m reflex_bench.in_process --lerobot $(LEROBOT) --checkpoint $(CHECKPOINT) $(ARGS)

# Rerun brings its viewer, 500 MB, and wants a newer numpy than the embedded Triton: an environment of its own.
rerun-test: $(STAMP) ## recordings as Rerun's .rrd, verified by Rerun itself (RERUN=FOLDER for its 700 MB)
	@test -x $(RERUN)/bin/rerun || { echo 'installing Rerun into $(RERUN), this once' >&2 && $(PYTHON) -m venv $(RERUN); }
	$(RERUN)/bin/python -m pip install --quiet --disable-pip-version-check '.[rerun]'
	STOCK_RERUN_PYTHON=$(abspath $(RERUN))/bin/python $(BIN)/python -m pytest tests/unit/reflex_runner/recording/formats/test_rerun_file.py $(ARGS)

# Unpacked, not installed: the package's own service would start, and listen on every address.
observability-test: $(STAMP) ## dashboard and alerts against a real Prometheus, Debian's, and a real server (a minute and a half)
	@command -v promtool >/dev/null && command -v prometheus >/dev/null || test -x $(VENV)/prometheus/usr/bin/promtool \
	  || { mkdir -p $(VENV)/prometheus && cd $(VENV)/prometheus \
	    && { apt-get -qq download prometheus || { apt-get -qq update && apt-get -qq download prometheus; }; } \
	    && dpkg-deb --extract prometheus_*.deb . && rm prometheus_*.deb; } \
	  || echo 'no Debian package prometheus: what needs it is skipped' >&2
	$(BIN)/python -m pytest -m 'not timing' tests/observability $(ARGS)

dashboard-test: $(STAMP) ## every page and action of the control plane's dashboard in a real Chromium, and its pictures in docs/dashboard/ (two minutes)
	REFLEX_DASHBOARD_PICTURES=$(CURDIR)/docs/dashboard $(BIN)/python -m pytest tests/browser -p no:randomly --numprocesses 2 $(ARGS)

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
