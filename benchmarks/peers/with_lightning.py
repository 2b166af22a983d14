"""A plain Lightning loop: the images scaled once, a DataLoader over a TensorDataset, the Trainer with its defaults."""

import logging
import time
import warnings

import lightning
import networks
from torch.utils.data import DataLoader, TensorDataset


class Module(lightning.LightningModule):
    def __init__(self, network):
        super().__init__()
        self.model, self.network = networks.VAE(network), network

    def training_step(self, batch, _):
        loss = self.model(batch[0]) / len(batch[0])
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return networks.optimiser(self.network, self.parameters())


def main():
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    train, test, network, epochs = networks.arguments()
    module = Module(network)
    loader = DataLoader(TensorDataset(train.float().div(255)), batch_size=128, shuffle=True)
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    began = time.monotonic()
    trainer.fit(module, loader)
    seconds = time.monotonic() - began
    module.eval()
    print(networks.report(train, epochs, seconds, test, lambda x: module.model(x).item()))


main()
