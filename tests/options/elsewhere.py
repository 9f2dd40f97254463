"""Options that change no number by a formula of one call: the test that turns each, or why there is nothing to turn."""

DRAWS = "a generator; `test_a_generator_of_ones_own_is_the_only_source_of_numbers` turns it"

# What an option of any callable is.
EVERYWHERE = {"rng": DRAWS, "device": "there is one device; `test_array_api.py` names it, and others"}

# What a single option has no effect on, and why.
WITHOUT_EFFECT = {
    ("GroupNorm", "momentum"): "a group norm has no statistics",
    ("GroupNorm", "active"): "a group norm has no statistics; it prints its mode as in Flux",
    ("compile", "function"): "without it, it is what the decorator is called with",
    ("sort", "stable"): "equal elements keep their order in any case",
    ("argsort", "stable"): "equal elements keep their order in any case",
}

# What stands in the place of a size beside a weight that is given, and else must be there.
_SECOND = "test_given_arrays.py::test_what_has_no_size_and_no_weight_says_what_is_missing"
_PRUNE = "test_functors.py::test_pruned_is_all_but_the_first_place_of_an_object"
_EXCLUDE = "test_functors.py::test_excluded_nodes_are_mapped_in_place_of_tensors"

_IGNORED = {"ignore_index": "test_weighted_losses.py::test_the_mean_of_labels_is_by_their_weights"}

_PATIENCE = "test_callbacks.py::test_early_stopping_waits_for_patience_epochs_and_restores_the_best"
NOISE = "test_datasets.py::test_noise_is_normal_and_comes_from_the_generator"

# `file::test` of the test that gives the option another value.
TESTED = {
    "PReLU": {"channels": "test_prelu.py::test_each_channel_may_have_a_slope"},
    "crossentropy": _IGNORED,
    "focal_loss": _IGNORED,
    "logitcrossentropy": _IGNORED,
    "nll_loss": _IGNORED,
    "strict": {"on": "test_strict.py::test_a_block_holds_in_its_thread_alone_and_blocks_nest"},
    "asarray": {
        "copy": "test_array_api.py::test_what_is_not_copied_is_the_tensor_itself_or_the_memory_of_an_array"
    },
    "astype": {"copy": "test_array_api.py::test_a_tensor_of_the_type_that_is_asked_for_need_not_be_copied"},
    "reshape": {
        "copy": "test_array_api.py::test_a_shape_that_needs_a_copy_is_an_error_where_none_is_allowed"
    },
    "ClipNorm": {
        "throw": "test_flux_options.py::test_clipnorm_takes_its_formula_at_its_word_if_it_does_not_throw"
    },
    "RMSProp": {"centered": "test_flux_options.py::test_centered_is_centred"},
    "lecun_normal": {"gain": "test_flux_options.py::test_lecun_normal_is_scaled_by_its_gain"},
    "rand_like": {
        "shape": "test_flux_options.py::test_random_numbers_like_a_tensor",
        "dtype": "test_flux_options.py::test_random_numbers_like_a_tensor",
    },
    "randn_like": {
        "shape": "test_flux_options.py::test_random_numbers_like_a_tensor",
        "dtype": "test_flux_options.py::test_random_numbers_like_a_tensor",
    },
    "power_to_db": {
        "ref": "test_flux_options.py::test_decibels_and_back",
        "amin": "test_flux_options.py::test_decibels_and_back",
        "top_db": "test_flux_options.py::test_decibels_and_back",
    },
    "db_to_power": {"ref": "test_flux_options.py::test_decibels_and_back"},
    "Bilinear": {"size_out": _SECOND},
    "Dense": {"size_out": _SECOND},
    "GRU": {"size_out": _SECOND},
    "GRUv3": {"size_out": _SECOND},
    "LSTM": {"size_out": _SECOND},
    "RNN": {"size_out": _SECOND},
    "Conv": {"size_in": _SECOND, "size_out": _SECOND},
    "ConvTranspose": {"size_in": _SECOND, "size_out": _SECOND},
    "CrossCor": {"size_in": _SECOND, "size_out": _SECOND},
    "DepthwiseConv": {"size_in": _SECOND, "size_out": _SECOND},
    "Embedding": {"size": _SECOND},
    "EmbeddingBag": {"size": _SECOND},
    "autosize": {"padbatch": "test_autosize.py::test_the_shape_may_lack_the_batch"},
    "fmap": {
        "walk": "test_functors.py::test_a_walk_of_ones_own_stands_before_the_usual_one",
        "prune": _PRUNE,
    },
    "fmap_with_path": {
        "exclude": _EXCLUDE,
        "walk": "test_functors.py::test_a_walk_goes_on_by_itself",
        "prune": _PRUNE,
    },
    "fmapstructure": {"exclude": _EXCLUDE, "prune": _PRUNE},
    "fmapstructure_with_path": {"exclude": _EXCLUDE, "prune": _PRUNE},
    "loadmodel": {"filter": "test_functors.py::test_a_filter_says_what_loadmodel_loads"},
    "EMA": {
        "decay": "test_callbacks.py::test_an_exponential_average_follows_its_formula",
        "every": "test_callbacks.py::test_an_average_may_take_every_other_step",
        "warmup": "test_callbacks.py::test_an_exponential_average_follows_its_formula",
    },
    "SWA": {
        "start": "test_callbacks.py::test_stochastic_weight_averaging_is_the_mean_of_epochs",
        "every": "test_callbacks.py::test_stochastic_weight_averaging_is_the_mean_of_epochs",
        "statistics": "test_callbacks.py::test_statistics_need_data_that_can_be_read_again",
    },
    "EarlyStopping": {
        "monitor": "test_callbacks.py::test_the_monitor_is_the_column_that_is_watched",
        "patience": _PATIENCE,
        "restore_best": _PATIENCE,
        "min_delta": "test_callbacks.py::test_early_stopping_counts_only_what_is_better_by_min_delta",
        "mode": _PATIENCE,
    },
    "ModelCheckpoint": {
        "monitor": "test_callbacks.py::test_the_monitor_is_the_column_that_is_watched",
        "mode": "test_callbacks.py::test_the_monitor_is_the_column_that_is_watched",
        "best_only": "test_callbacks.py::test_paths_have_the_numbers_of_the_row",
        "every": "test_callbacks.py::test_paths_have_the_numbers_of_the_row",
        "classes": "test_callbacks.py::test_classes_that_are_listed_are_read_without_a_model",
    },
    "GradientNorm": {"each": "test_callbacks.py::test_norms_of_gradients_are_columns"},
    "DataLoader": {
        "buffer": "test_data_views.py::test_a_given_buffer_is_written_into",
        "parallel": "test_workers.py::test_workers_give_the_same_batches_in_the_same_order",
    },
    "Generator": {"seed": "test_options.py::test_generators_of_different_seeds_draw_different_numbers"},
    "History": {
        "rows": "test_options.py::test_a_history_is_made_of_rows",
        "interrupted": "test_options.py::test_a_history_is_made_of_rows",
    },
    "Leaf": {
        "state": "test_options.py::test_a_leaf_has_the_state_it_is_given",
        "frozen": "test_options.py::test_a_leaf_has_the_state_it_is_given",
    },
    "evaluate": {
        "metrics": "test_evaluation.py::test_evaluate_gives_the_same_whatever_the_batches",
        "loss": "test_evaluation.py::test_evaluate_gives_the_same_whatever_the_batches",
        "outputs": "test_evaluation.py::test_outputs_say_what_is_predicted_and_weighed",
        "batchsize": "test_evaluation.py::test_evaluate_gives_the_same_whatever_the_batches",
    },
    "predict": {"batchsize": "test_evaluation.py::test_predict_gives_the_outputs_of_all_items_in_test_mode"},
    "find_rate": {
        "rule": "test_finder.py::test_everything_is_as_it_was",
        "low": "test_finder.py::test_rates_rise_by_one_factor_and_losses_are_those_before_the_steps",
        "high": "test_finder.py::test_rates_rise_by_one_factor_and_losses_are_those_before_the_steps",
        "steps": "test_finder.py::test_rates_rise_by_one_factor_and_losses_are_those_before_the_steps",
        "diverged": "test_finder.py::test_a_loss_may_rise_as_far_as_it_is_told",
    },
    "fit": {
        "outputs": "test_evaluation.py::test_outputs_say_what_is_predicted_and_weighed",
        "class_weight": "test_evaluation.py::test_weights_of_classes_reach_the_loss_in_steps_alone",
        "epochs": "test_fit.py::test_a_row_for_each_epoch_with_the_mean_loss",
        "steps": "test_fit.py::test_steps_cut_an_endless_stream_into_epochs",
        "validation": "test_fit.py::test_validation_is_measured_after_each_epoch_and_weighted_by_items",
        "metrics": "test_fit.py::test_metrics_are_named_by_their_functions_or_by_a_dict",
        "callbacks": "test_fit.py::test_callbacks_get_the_row_and_only_true_ends_the_training",
        "schedule": "test_fit.py::test_a_schedule_sets_the_rate_before_each_step",
        "per": "test_fit.py::test_a_schedule_may_count_epochs",
        "compile": "test_compiled_training.py::test_fit_gives_the_same_table_and_model_compiled",
        "on_nan": "test_fit.py::test_a_loss_that_is_not_finite_is_skipped_with_a_warning",
        "progress": "test_fit.py::test_the_bar_shows_loss_metrics_and_rate",
        "log": "test_fit.py::test_every_number_of_a_row_is_logged_at_its_step",
        "checkpoint": "test_fit.py::test_a_resumed_run_ends_as_the_whole_one",
        "resume": "test_fit.py::test_a_resumed_run_ends_as_the_whole_one",
        "distributed": "test_distributed.py::test_one_process_trains_as_without_mpi",
        "wire": "test_distributed.py::test_one_process_trains_as_without_mpi",
    },
    "from_dlpack": {"copy": "test_options.py::test_a_copy_through_dlpack_shares_no_memory"},
    "gradcheck": {
        "eps": "test_options.py::test_gradcheck_heeds_its_step_and_its_tolerances",
        "rtol": "test_options.py::test_gradcheck_heeds_its_step_and_its_tolerances",
        "atol": "test_options.py::test_gradcheck_heeds_its_step_and_its_tolerances",
        "order": "test_gradient.py::test_gradcheck_finds_a_wrong_second_derivative",
    },
    "make_moons": {"noise": NOISE},
    "make_poly": {"noise": NOISE},
    "make_sin": {"noise": NOISE},
    "make_spiral": {"noise": NOISE},
    "load": {"classes": "test_files.py::test_own_classes_can_be_listed"},
    "load_checkpoint": {"classes": "test_checkpoints.py::test_a_rule_of_ones_own_must_be_listed"},
    "load_torch": {
        "source": "test_modules_of_torch.py::test_a_module_becomes_the_layer_with_its_options_and_numbers",
        "names": "test_options.py::test_load_torch_takes_the_names_that_are_given",
        "flattened": "test_load_torch.py::test_a_dense_behind_a_flatten_takes_channels_last",
        "layout": "parity/test_transformers.py::test_a_model_gives_what_theirs_gives",
    },
    "to_torch": {
        "names": "test_to_torch.py::test_names_can_be_listed",
        "flattened": "test_to_torch.py::test_a_dense_behind_a_flatten_is_written_channels_first",
        "layout": "parity/test_transformers.py::test_the_way_back_gives_their_state_dict_to_the_bit",
        "numpy": "test_to_torch.py::test_the_kind_of_the_arrays_is_asked_for",
    },
    "profile": {
        "fn": "test_profile.py::test_a_context_sees_what_is_done_within",
        "repeats": "test_profile.py::test_calls_that_are_seen_and_unseen_are_as_many_as_it_is_told",
        "warmup": "test_profile.py::test_calls_that_are_seen_and_unseen_are_as_many_as_it_is_told",
    },
    "rand": {"dtype": "test_options.py::test_random_numbers_have_the_dtype_they_are_asked_for"},
    "randint": {
        "dtype": "test_options.py::test_random_numbers_have_the_dtype_they_are_asked_for",
        "shape": "test_options.py::test_random_numbers_have_the_dtype_they_are_asked_for",
    },
    "randn": {"dtype": "test_options.py::test_random_numbers_have_the_dtype_they_are_asked_for"},
    "save": {"classes": "test_files.py::test_own_classes_can_be_listed"},
    "save_checkpoint": {"classes": "test_checkpoints.py::test_a_rule_of_ones_own_must_be_listed"},
    "Stateful": {"advance": "test_optimisers.py::test_a_stateful_schedule_goes_on_where_it_is_told_to"},
    "summary": {"padbatch": "test_shapes.py::test_a_single_layer_and_a_closure"},
    "throttle": {
        "leading": "test_train.py::test_throttle_may_wait_first",
        "trailing": "test_train.py::test_throttle_calls_once_more_at_the_end",
    },
    "train": {
        "callback": "test_train.py::test_a_callback_gets_the_loss_before_each_step",
        "compile": "test_compiled_training.py::test_the_loss_of_a_compiled_training_runs_twice",
        "on_nan": "test_options.py::test_train_skips_what_is_not_finite_if_it_is_told_to",
        "progress": "test_options.py::test_train_shows_its_progress_if_it_is_told_to",
    },
}
