"""`latently train simclr` with its defaults, which also trains the decoder and the appearance beside the encoder."""

import contrast

from latently import Autoencoder

folder, steps = contrast.arguments()
clock = contrast.Clock()
images = contrast.pixels(contrast.files(folder, steps))
Autoencoder(contrast.MODEL, **contrast.MODEL.suited_training, epochs=1).fit(images, watchers=[clock])
print(clock.report())
