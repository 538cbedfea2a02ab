{{/* Values that each are allowed, and together cannot work. Every sentence says what to set. */}}

{{- define "reflex.checks" -}}
{{- $problems := list -}}
{{- $v := .Values -}}
{{- $isGpu := eq $v.triton.accelerator "gpu" -}}
{{- $source := $v.modelRepository.source -}}

{{- if and (eq $source "claim") (not $v.modelRepository.claim.name) -}}
{{- $problems = append $problems "modelRepository.source claim needs modelRepository.claim.name, the claim that holds what `reflex export` wrote." -}}
{{- end -}}
{{- if and (eq $source "image") (not $v.modelRepository.image.reference) -}}
{{- $problems = append $problems "modelRepository.source image needs modelRepository.image.reference, an image with the policies in it." -}}
{{- end -}}
{{- if and (eq $source "fetch") (not (and $v.modelRepository.fetch.image $v.modelRepository.fetch.command)) -}}
{{- $problems = append $problems "modelRepository.source fetch needs modelRepository.fetch.image and modelRepository.fetch.command, which writes the policies into $(REFLEX_TARGET)." -}}
{{- end -}}
{{- if and (eq $source "fetch") $v.networkPolicy.enabled $v.networkPolicy.denyEgress (not $v.networkPolicy.egress) (not $v.engines.enabled) -}}
{{- $problems = append $problems "modelRepository.source fetch opens connections, and networkPolicy.denyEgress forbids all of them: allow the store in networkPolicy.egress, or set networkPolicy.denyEgress to false." -}}
{{- end -}}

{{- if and $isGpu (not $v.triton.image.digest) -}}
{{- if not (regexMatch "^[0-9]{2}\\.[0-9]{2}" $v.triton.image.tag) -}}
{{- $problems = append $problems (printf "triton.image.tag %q names no release of NVIDIA's container: set it to one like 26.07-py3, or pin triton.image.digest." $v.triton.image.tag) -}}
{{- else if lt (regexFind "^[0-9]{2}\\.[0-9]{2}" $v.triton.image.tag | replace "." "" | atoi) 2602 -}}
{{- $problems = append $problems (printf "triton.image.tag %q is too old: before 26.02 a full queue inside an ensemble leaves requests without an answer; set 26.02 or newer." $v.triton.image.tag) -}}
{{- end -}}
{{- end -}}

{{- if and $v.engines.enabled (not $isGpu) -}}
{{- $problems = append $problems "engines.enabled builds TensorRT engines, which a CPU cannot run: set triton.accelerator to gpu, or engines.enabled to false." -}}
{{- end -}}
{{- $isMany := or (gt (int $v.replicas) 1) (ne $v.autoscaling.kind "") (gt (len $v.pools) 0) -}}
{{- if and $v.engines.enabled (eq $v.engines.storage.accessMode "ReadWriteOnce") $isMany -}}
{{- $problems = append $problems "engines.storage.accessMode ReadWriteOnce lets one node mount the engines: use ReadWriteMany, or one pool with replicas 1 and no autoscaling." -}}
{{- end -}}
{{- if and $v.engines.enabled (eq $v.engines.storage.accessMode "ReadWriteOnce") (gt (int $v.strategy.maxSurge) 0) -}}
{{- $problems = append $problems "engines.storage.accessMode ReadWriteOnce keeps a new pod from starting beside the old one: set strategy.maxSurge to 0 and strategy.maxUnavailable to 1, or use ReadWriteMany." -}}
{{- end -}}

{{- $names := list -}}
{{- range $v.pools -}}{{- $names = append $names .name -}}{{- end -}}
{{- if ne (len $names) (len (uniq $names)) -}}
{{- $problems = append $problems (printf "pools need different names, and these are %s." (join ", " $names)) -}}
{{- end -}}
{{- if and (eq (int $v.strategy.maxSurge) 0) (eq (int $v.strategy.maxUnavailable) 0) -}}
{{- $problems = append $problems "strategy.maxSurge and strategy.maxUnavailable are both 0, so no update could ever start: set one of them to 1." -}}
{{- end -}}
{{- if and $v.disruption.enabled (not (kindIs "invalid" $v.disruption.minAvailable)) (not (kindIs "invalid" $v.disruption.maxUnavailable)) -}}
{{- $problems = append $problems "disruption.minAvailable and disruption.maxUnavailable exclude each other: set the other one to null." -}}
{{- end -}}
{{- if and $v.disruption.enabled (kindIs "invalid" $v.disruption.minAvailable) (kindIs "invalid" $v.disruption.maxUnavailable) -}}
{{- $problems = append $problems "disruption.enabled needs disruption.minAvailable or disruption.maxUnavailable." -}}
{{- end -}}

{{- if and $v.autoscaling.kind (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
{{- $problems = append $problems "autoscaling.minReplicas is greater than autoscaling.maxReplicas." -}}
{{- end -}}
{{- if eq $v.autoscaling.kind "keda" -}}
{{- if not $v.autoscaling.prometheusUrl -}}
{{- $problems = append $problems "autoscaling.kind keda needs autoscaling.prometheusUrl, where the query is asked." -}}
{{- end -}}
{{- if and (not $v.autoscaling.query) (not (and $v.monitoring.tritonMetrics $v.monitoring.serviceMonitor.enabled)) -}}
{{- $problems = append $problems "autoscaling.kind keda asks for Triton's queue time: set monitoring.tritonMetrics and monitoring.serviceMonitor.enabled to true, or give your own autoscaling.query." -}}
{{- end -}}
{{- end -}}

{{- if and (eq $v.service.type "ClusterIP") (or $v.service.nodePort $v.service.externalTrafficPolicy) -}}
{{- $problems = append $problems "service.nodePort and service.externalTrafficPolicy are of a Service that is reached from outside: set service.type to NodePort or LoadBalancer." -}}
{{- end -}}
{{- if and (ne $v.service.type "LoadBalancer") (or $v.service.loadBalancerClass $v.service.loadBalancerSourceRanges) -}}
{{- $problems = append $problems "service.loadBalancerClass and service.loadBalancerSourceRanges need service.type LoadBalancer." -}}
{{- end -}}
{{- $own := list "helm.sh/chart" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "reflex-pool" -}}
{{- range $own -}}
{{- if or (hasKey $v.commonLabels .) (hasKey $v.pod.labels .) -}}
{{- $problems = append $problems (printf "commonLabels and pod.labels cannot set %s, by which the chart finds its objects." .) -}}
{{- end -}}
{{- end -}}
{{- range $key, $_ := $v.pod.labels -}}
{{- if hasKey $v.commonLabels $key -}}
{{- $problems = append $problems (printf "commonLabels and pod.labels both set %s: set it in one of them." $key) -}}
{{- end -}}
{{- end -}}
{{- if eq $v.enabled false -}}
{{- $problems = append $problems "enabled is for a chart that has this one as a dependency, with `condition: reflex.enabled`: without one it switches nothing off." -}}
{{- end -}}

{{- if and $v.ingress.enabled $v.ingress.episodeAffinity (not $v.ingress.controller) -}}
{{- $problems = append $problems "ingress.episodeAffinity has no form that every controller knows: set ingress.controller to nginx or traefik, or use ingress.annotations of your own." -}}
{{- end -}}
{{- if and $v.ingress.enabled $v.ingress.tlsSecret (not $v.ingress.host) -}}
{{- $problems = append $problems "ingress.tlsSecret needs ingress.host, the name that its certificate is for." -}}
{{- end -}}
{{- if and $v.gateway.enabled (not $v.gateway.parentRefs) -}}
{{- $problems = append $problems "gateway.enabled needs gateway.parentRefs, the Gateways that the route belongs to." -}}
{{- end -}}
{{- if and $v.gateway.enabled $v.gateway.episodeAffinity (not $v.gateway.implementation) -}}
{{- $problems = append $problems "gateway.episodeAffinity is not part of the Gateway API: set gateway.implementation to envoy or istio." -}}
{{- end -}}

{{- if and (not $v.auth.existingSecret) (not $v.auth.insecure) (not $v.control.sessions.required) (ne $source "demo") -}}
{{- $problems = append $problems "auth.existingSecret is empty, so whoever reaches the service could drive the policy: name a secret with the file that `reflex keys new` makes, or set auth.insecure to true on a network where you trust everybody." -}}
{{- end -}}
{{- if and $v.auth.existingSecret $v.auth.insecure -}}
{{- $problems = append $problems "auth.existingSecret and auth.insecure exclude each other: set auth.insecure to false." -}}
{{- end -}}
{{- if and $v.auth.existingSecret $v.tests.enabled (not $v.tests.apiKeySecret) -}}
{{- $problems = append $problems "auth.existingSecret makes the server ask for keys, and `helm test` has none: set tests.apiKeySecret, or tests.enabled to false." -}}
{{- end -}}
{{- $ours := include "reflex.frontendSettings" . | fromYaml -}}
{{- range $v.frontend.env -}}
{{- if hasKey $ours .name -}}
{{- $problems = append $problems (printf "frontend.env sets %s, which the chart sets itself: use the value of the chart." .name) -}}
{{- end -}}
{{- end -}}

{{- $control := $v.control -}}
{{- if and $control.enabled (not $control.database.existingSecret) (gt (int $control.replicas) 1) -}}
{{- $problems = append $problems "control.replicas is more than 1, and SQLite has one server: set control.database.existingSecret to a secret with the URL of a PostgreSQL." -}}
{{- end -}}
{{- if and $control.enabled $control.database.existingSecret $v.networkPolicy.enabled $v.networkPolicy.denyEgress (not $control.networkPolicy.egress) -}}
{{- $problems = append $problems "control.database is elsewhere, and networkPolicy.denyEgress forbids the way to it: allow PostgreSQL in control.networkPolicy.egress, or set networkPolicy.denyEgress to false." -}}
{{- end -}}
{{- if and $control.enabled $control.database.existingSecret $control.backup.enabled -}}
{{- $problems = append $problems "control.backup copies a SQLite store: set control.backup.enabled to false, and back PostgreSQL up with pg_dump or what runs it." -}}
{{- end -}}
{{- if and $control.sessions.required (not $control.enabled) -}}
{{- $problems = append $problems "control.sessions.required means sessions of the chart's own control plane: set control.enabled to true; of one elsewhere, set REFLEX_SESSIONS_FROM and REFLEX_CONTROL_KEY in frontend.env." -}}
{{- end -}}
{{- if and $control.sessions.required (not $control.sessions.existingSecret) -}}
{{- $problems = append $problems "control.sessions.required needs control.sessions.existingSecret, a secret with the key under `control-key` that `reflex keys create --scope read` made." -}}
{{- end -}}
{{- if and $control.sessions.required $v.tests.enabled -}}
{{- $problems = append $problems "control.sessions.required makes /act ask for a session, and `helm test` has none: set tests.enabled to false." -}}
{{- end -}}
{{- $ours = include "reflex.controlSettings" . | fromYaml -}}
{{- range $control.env -}}
{{- if or (hasKey $ours .name) (eq .name "REFLEX_CONTROL_DB") -}}
{{- $problems = append $problems (printf "control.env sets %s, which the chart sets itself: use the value of the chart." .name) -}}
{{- end -}}
{{- end -}}

{{- if $problems -}}
{{- fail (printf "\n- %s" (join "\n- " $problems)) -}}
{{- end -}}
{{- end -}}
