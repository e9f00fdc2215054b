"""Cross-modality sub-image retrieval measured: rigid transforms, folds by core, query sets, methods, scores."""
