"""Why a hit was found: occlusion maps, the archive's features in a plane, what an autoencoder keeps of a picture."""
