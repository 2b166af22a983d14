"""A plain loop of torch: the same encoder, projector, views and loss; float32, torch's own memory format and AdamW."""

import contrast
import torch

from latently.models.densities import nt_xent
from latently.models.views import Views

folder, steps = contrast.arguments()
images = torch.tensor(contrast.pixels(contrast.files(folder, steps))).permute(0, 3, 1, 2)
net, views, clock = contrast.encoder_and_projector(), Views(), contrast.Clock()
optimiser = torch.optim.AdamW(net.parameters(), 1e-3)
for batch in images.split(contrast.BATCH):
    x = batch.float().div(255).repeat(contrast.VIEWS, 1, 1, 1)
    loss = nt_xent(net(views(x, (contrast.SIDE, contrast.SIDE))), contrast.VIEWS, contrast.TEMPERATURE).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    clock.stepped()
print(clock.report())
