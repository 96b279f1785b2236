"""Distributions: the likelihood families P^(z_y | zh)."""

from m3i_dsl.vocabulary.distributions.bernoulli import Bernoulli
from m3i_dsl.vocabulary.distributions.boltzmann import Boltzmann
from m3i_dsl.vocabulary.distributions.gaussian import Gaussian
from m3i_dsl.vocabulary.distributions.huber import Huber
from m3i_dsl.vocabulary.distributions.laplace import Laplace
from m3i_dsl.vocabulary.kinds import Distribution

WORDS: tuple[type[Distribution], ...] = (Gaussian, Boltzmann, Laplace, Huber, Bernoulli)
