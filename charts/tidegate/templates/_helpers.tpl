{{/* The image of the controller. */}}
{{- define "tidegate.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The image of proxies whose parameters name none. */}}
{{- define "tidegate.proxyImage" -}}
{{ .Values.proxyImage | default (include "tidegate.image" .) }}
{{- end }}
