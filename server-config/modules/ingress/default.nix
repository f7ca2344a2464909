{
  imports = [
    ../../flags.nix
    ../preview-operator/options.nix
    ./options.nix
    ./assertions.nix
    ./caddy.nix
    ./certificates.nix
  ];
}
