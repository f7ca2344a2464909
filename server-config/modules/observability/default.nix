{
  imports = [
    ../../flags.nix
    ../preview-operator/options.nix
    ../backup/options.nix
    ./options.nix
    ./assertions.nix
    ./host.nix
    ./collector.nix
    ./prometheus.nix
    ./grafana.nix
    ./loki.nix
  ];
}
