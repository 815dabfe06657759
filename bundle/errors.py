"""What can be wrong with what people wrote: each is one clear sentence on the command line."""

from __future__ import annotations

from alerts.docs import MissingBlockError
from alerts.promql import PromqlError
from alerts.thresholds import ThresholdError
from bundle.holes import TemplateError
from bundle.site import SiteError
from dashboards.model import PanelError

PROBLEMS = (ThresholdError, PromqlError, MissingBlockError, PanelError, TemplateError, SiteError)
