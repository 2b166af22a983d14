"""pythae 0.1.2, BaseTrainer with its defaults, on the network of `networks.py`."""

import sys
import time

import networks
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig


class Encoder(BaseEncoder):
    def __init__(self, network):
        super().__init__()
        self.layers = networks.encoder(network)
        self.mean, self.log_variance = (
            torch.nn.Linear(networks.WIDTH[network], networks.LATENT[network]) for _ in range(2)
        )

    def forward(self, x):
        features = self.layers(x)
        return ModelOutput(embedding=self.mean(features), log_covariance=self.log_variance(features))


class Decoder(BaseDecoder):
    def __init__(self, network):
        super().__init__()
        self.layers = networks.decoder(network)

    def forward(self, z):
        return ModelOutput(reconstruction=torch.sigmoid(self.layers(z)))


def main():
    train, test, network, epochs = networks.arguments()
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=networks.LATENT[network], reconstruction_loss="bce")
    # pythae's own default network is the first one
    own = {} if network == "mlp" else {"encoder": Encoder(network), "decoder": Decoder(network)}
    model = VAE(config, **own)
    rule = {} if network == "mlp" else {"optimizer_cls": "RMSprop", "optimizer_params": {"alpha": 0.9, "eps": 1e-7}}
    settings = BaseTrainerConfig(
        output_dir=sys.argv[1] + "/peer", num_epochs=epochs, learning_rate=1e-3, per_device_train_batch_size=128,
        no_cuda=True, **rule,
    )  # fmt: skip
    data = BaseDataset(train.float().div(255), torch.zeros(len(train)))
    trainer = BaseTrainer(model, data, training_config=settings)
    steps, seconds = trainer.train_step, []

    def timed(epoch):  # the training of an epoch alone, as our column `seconds`
        began = time.monotonic()
        loss = steps(epoch)
        seconds.append(time.monotonic() - began)
        return loss

    trainer.train_step = timed
    trainer.train()
    model.eval()
    print()
    print(networks.report(train, epochs, sum(seconds), test, lambda x: model({"data": x}).loss.item() * len(x)))


main()
