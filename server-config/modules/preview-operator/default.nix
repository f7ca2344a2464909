{
  imports = [
    ../../flags.nix
    ../database/options.nix
    ../hardening/options.nix
    ../preview-containers/options.nix
    ./options.nix
    ./assertions.nix
    ./settings.nix
    ./users.nix
    ./operator.nix
    ./web.nix
    ./metrics.nix
    ./hostd.nix
  ];
}
